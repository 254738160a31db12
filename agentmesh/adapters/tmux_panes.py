"""Open panes for programs, start a program in one, close one. No shell comes between: words are handed over as such.

A pane is opened with a program that only waits, and given its own once its id is known: so that pane keeps what its
program leaves on the screen, however soon that ends.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from agentmesh.adapters.tmux import TmuxServer
from agentmesh.core.session_request import Layout
from agentmesh.errors import NoRoom, PaneGone, TmuxFailed

SIZE = ("-x", "120", "-y", "40")
"""Of a session that no client has been attached to yet."""
_WAITS = ("sleep", "30")
"""It ends where nobody comes back to it. A single word would be handed to a shell (tmux(1), new-window)."""
_ID = ("-d", "-P", "-F", "#{pane_id}")
MOST_PANES = 8
"""In a window that is split: of more, none shows enough of its program."""
_LAYOUT = "@agent-layout"
"""A window's option: how it was laid out."""
_COLOR = "@agent-color"
"""A pane's option: its role's colour."""
_BORDERED = "@agentmesh-border"
"""Marks a window whose border is ours."""
# A role is shown as it was written: a style in it (tmux(1), STYLES) is none there.
_BORDER = f"#{{?{_COLOR},#[fg=#{{{_COLOR}}}] #{{@agent-name}} #{{q/h:@agent-role}} #[default],}}"


async def has_session(server: TmuxServer, session: str) -> bool:
    """Tell whether a server has a session of this name. Raises TmuxFailed."""
    try:
        await server.execute("has-session", "-t", _word(f"={session}"))
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


async def split(server: TmuxServer, beside: str, folder: str, layout: Layout | None) -> str:
    """Open a pane beside another, and lay out its window, whose first pane stays the main one; return the pane's id.

    Without a layout the window keeps the one that it was given last, main-vertical at first. Raises NoRoom, and then
    nothing has changed; PaneGone, TmuxFailed.
    """
    panes = await server.execute("list-panes", "-t", beside, "-F", f"#{{pane_id}} #{{{_LAYOUT}}}")
    if len(panes) >= MOST_PANES:
        raise NoRoom(reason=f"it has {len(panes)}, and {MOST_PANES} are the most")
    before = panes[0].partition(" ")[2]
    chosen = layout or (before if before in set(Layout) else Layout.MAIN_VERTICAL)
    try:
        (pane,) = await server.execute(*_words(["split-window", *_ID, "-h", "-t", beside, "-c", folder]), *_WAITS)
    except TmuxFailed as error:
        if "no space" in str(error):
            raise NoRoom(reason="it is too small") from error
        raise
    try:
        await server.execute("set-option", "-w", "-t", pane, _LAYOUT, chosen, ";", "select-layout", "-t", pane, chosen)
    except (PaneGone, TmuxFailed):
        await close(server, pane)
        raise
    return pane


async def frame(server: TmuxServer, pane: str, title: str) -> None:
    """Give a pane a title, and its window a border in which each session's name and role stand, in its role's colour.

    A window that has a border of the user's own keeps that. Raises PaneGone, TmuxFailed.
    """
    await server.execute("select-pane", "-t", pane, "-T", title)
    if await server.execute("show-options", "-wv", "-t", pane, "pane-border-status"):
        return
    border = {_BORDERED: "on", "pane-border-format": _BORDER, "pane-border-status": "top"}
    await server.set_window_options(pane, border)


async def unframe(server: TmuxServer) -> None:
    """Take that border from every window that has no pane of a session any more. Raises TmuxFailed."""
    windows = await server.execute(
        "list-windows", "-a", "-F", f"#{{window_id}} #{{{_BORDERED}}} #{{P:#{{?{_COLOR},x,}}}}"
    )
    for window in windows:
        match window.split():
            case [identifier, "on"]:
                options = (_BORDERED, "pane-border-format", "pane-border-status")
                words = [word for name in options for word in ("set-option", "-wu", "-t", identifier, name, ";")]
                await server.execute(*words)


async def set_environment(server: TmuxServer, variables: Mapping[str, str]) -> None:
    """Set the environment of whatever is opened in a server from now on. Raises TmuxFailed."""
    commands = (("set-environment", "-g", name, _word(value), ";") for name, value in variables.items())
    await server.execute(*(word for command in commands for word in command))


async def start(
    server: TmuxServer,
    pane: str,
    folder: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    options: Mapping[str, str],
) -> None:
    """Start a program in a pane that was opened for it. Raises PaneGone.

    The pane stays when it ends, and it can't rename its window.
    """
    wanted = {"remain-on-exit": "on", "allow-rename": "off", **options}
    settings = [word for name, value in wanted.items() for word in ("set-option", "-p", "-t", pane, name, value, ";")]
    # Of what may be empty or end in a semicolon tmux must not make anything of its own.
    settings = [word if word == ";" else _word(word) for word in settings]
    variables = [f"{name}={value}" for name, value in environment.items()]
    respawn = ["respawn-pane", "-k", "-t", pane, "-c", folder, "env", *variables, *argv]
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
