"""What all sensors saw of a pane at one moment, as it is kept for tests. Pure: no files.

The form is that of ``tests/screens``: the screen as tmux gives it, the same without styles, and two lines of facts.
"""

import re

import msgspec

from agentmesh.core.address import Address
from agentmesh.core.box import BoxReading
from agentmesh.core.readiness import Readiness, TtyFacts
from agentmesh.core.screen import PaneFacts, plain

SCREEN, PLAIN, FACTS = ".txt", ".plain.txt", ".meta.txt"
"""How the three files of a recording end."""

_META = re.compile(
    r"(?P<command>\S*) cur=(?P<x>\d+),(?P<y>\d+) cflag=(?P<flag>\d) .*?\balt=(?P<alt>\d) mode=(?P<mode>\d).*?:"
    r" (?P<width>\d+)x(?P<height>\d+) .*?\binputoff=(?P<off>\d) sync=(?P<sync>\d) dead=(?P<dead>\d)/\S*"
    r" title=(?P<title>.*)"
)
_KERNEL = re.compile(
    r"tty icanon=(?P<icanon>\d) echo=(?P<echo>\d) unread=(?P<unread>\d+) shell=(?P<shell>\d) alone=(?P<alone>\d)"
    r" reading=(?P<reading>\d) programs=(?P<programs>.*)"
)
_YES = "1"


class Capture(msgspec.Struct, frozen=True):
    """A pane as it was seen, and what that means."""

    address: Address
    facts: PaneFacts
    tty: TtyFacts | None
    profile: str
    """The name of the profile of the program in front; empty without one."""
    box: BoxReading | None
    """What the program's input box was read as, where its profile describes one."""
    readiness: Readiness


def recording(facts: PaneFacts, tty: TtyFacts | None) -> dict[str, str]:
    """Return the three files of a recording, by how their names end."""
    rows = facts.rows[facts.history :]
    return {
        SCREEN: "\n".join(rows) + "\n",
        PLAIN: "\n".join(plain(row) for row in rows) + "\n",
        FACTS: _meta(facts) + (_kernel(tty) if tty else ""),
    }


def _meta(facts: PaneFacts) -> str:
    return (
        f"{facts.command.replace(' ', '_')} cur={facts.cursor_x},{facts.cursor_y} cflag={facts.cursor_visible:d} "
        f"alt={facts.alternate:d} mode={facts.in_mode:d}: {facts.width}x{facts.height} "
        f"inputoff={facts.input_off:d} sync={facts.synchronized:d} dead={facts.dead:d}/ title={facts.title}\n"
    )


def _kernel(tty: TtyFacts) -> str:
    return (
        f"tty icanon={tty.canonical:d} echo={tty.echo:d} unread={tty.unread} shell={tty.shell_in_front:d}"
        f" alone={tty.alone:d} reading={tty.reading:d} programs={','.join(tty.programs)}\n"
    )


def recorded_facts(screen: str, meta: str) -> PaneFacts:
    """Read a recording's facts: blanks at the ends of rows left out, as the agent sees them. Raises ValueError."""
    found = _META.fullmatch(meta.split("\n", maxsplit=1)[0])
    if found is None:
        raise ValueError(f"no facts of a pane: {meta!r}")
    rows = screen.split("\n")[: int(found["height"])]
    return PaneFacts(
        pane="%0",
        pid=1000,
        tty="/dev/pts/0",
        command=found["command"],
        title=found["title"],
        dead=found["dead"] == _YES,
        in_mode=found["mode"] == _YES,
        synchronized=found["sync"] == _YES,
        input_off=found["off"] == _YES,
        alternate=found["alt"] == _YES,
        cursor_x=int(found["x"]),
        cursor_y=int(found["y"]),
        cursor_visible=found["flag"] == _YES,
        width=int(found["width"]),
        height=int(found["height"]),
        denied=False,
        shell_is_agent=False,
        rows=tuple(row.rstrip(" ") for row in rows),
    )


def recorded_tty(meta: str) -> TtyFacts | None:
    """Read what the kernel said, where the recording tells it."""
    found = next(filter(None, map(_KERNEL.fullmatch, meta.split("\n"))), None)
    return found and TtyFacts(
        canonical=found["icanon"] == _YES,
        echo=found["echo"] == _YES,
        unread=int(found["unread"]),
        programs=tuple(filter(None, found["programs"].split(","))),
        shell_in_front=found["shell"] == _YES,
        alone=found["alone"] == _YES,
        reading=found["reading"] == _YES,
    )
