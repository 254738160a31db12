"""Open panes for programs, start a program in one, close one. No shell comes between: words are handed over as such.

A pane is opened with a program that only waits, and given its own once its id is known: so that pane keeps what its
program leaves on the screen, however soon that ends.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from agentmesh.adapters.tmux import TmuxServer
from agentmesh.errors import PaneGone

SIZE = ("-x", "120", "-y", "40")
"""Of a session that no client has been attached to yet."""
_WAITS = ("sleep", "30")
"""It ends where nobody comes back to it. A single word would be handed to a shell (tmux(1), new-window)."""
_ID = ("-d", "-P", "-F", "#{pane_id}")


async def has_session(server: TmuxServer, session: str) -> bool:
    """Tell whether a server has a session of this name. Raises TmuxFailed."""
    try:
        await server.execute("has-session", "-t", f"={session}")
    except PaneGone:
        return False
    return True


async def open_session(server: TmuxServer, session: str, window: str, folder: str) -> str:
    """Open a session, which is registered whatever its name; return its pane's id. Raises TmuxFailed."""
    command = ["new-session", *_ID, "-s", session, "-n", window, *SIZE, "-c", folder]
    (pane,) = await server.execute(*_words(command), *_WAITS)
    await server.set_session_option(session, "@agent-register", "on")
    return pane


async def open_window(server: TmuxServer, session: str, window: str, folder: str) -> str:
    """Open a window in a session; return its pane's id. Raises PaneGone, TmuxFailed."""
    command = ["new-window", *_ID, "-t", f"={session}:", "-n", window, "-c", folder]
    (pane,) = await server.execute(*_words(command), *_WAITS)
    return pane


async def split(server: TmuxServer, beside: str, folder: str) -> str:
    """Open a pane beside another; return its id. Raises PaneGone, TmuxFailed."""
    (pane,) = await server.execute(*_words(["split-window", *_ID, "-h", "-t", beside, "-c", folder]), *_WAITS)
    return pane


async def start(
    server: TmuxServer, pane: str, folder: str, path: str, argv: Sequence[str], options: Mapping[str, str]
) -> None:
    """Start a program in a pane that was opened for it, with its own PATH. Raises PaneGone.

    The pane stays when it ends, and it can't rename its window.
    """
    wanted = {"remain-on-exit": "on", "allow-rename": "off", **options}
    settings = [word for name, value in wanted.items() for word in ("set-option", "-p", "-t", pane, name, value, ";")]
    # Of what may be empty or end in a semicolon tmux must not make anything of its own.
    settings = [word if word == ";" else _word(word) for word in settings]
    respawn = ["respawn-pane", "-k", "-t", pane, "-c", folder, "env", f"PATH={path}", *argv]
    await server.execute(*settings, *_words(respawn))


def waits(arguments: Sequence[str]) -> bool:
    """Tell whether a pane's process is what it was opened with: no program was started in it."""
    return tuple(arguments) == _WAITS


async def let_end(server: TmuxServer, pane: str) -> None:
    """Let a pane close when its program ends, unless the user's own settings keep it."""
    with suppress(PaneGone):
        await server.execute("set-option", "-p", "-u", "-t", pane, "remain-on-exit")


async def close(server: TmuxServer, pane: str) -> None:
    """Close a pane, if it is still there."""
    with suppress(PaneGone):
        await server.execute("kill-pane", "-t", pane)


def _words(words: Sequence[str]) -> list[str]:
    return [_word(word) for word in words]


def _word(word: str) -> str:
    r"""Return a word as tmux takes it for one: a semicolon at its end would begin another command.

    >>> _word("a;")
    'a\\;'
    """
    return f"{word[:-1]}\\;" if word.endswith(";") else word
