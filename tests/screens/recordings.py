"""Recorded screens as values; README.md beside this file says how they were made."""

import re
import tomllib
from pathlib import Path

import msgspec

from agentmesh.core.model import Profile
from agentmesh.core.screen import PaneFacts, plain

FOLDER = Path(__file__).parent
PROFILES = Path(__file__).parents[2] / "agentmesh" / "profiles"
_META = re.compile(
    r"(?P<command>\S+) cur=(?P<x>\d+),(?P<y>\d+) cflag=(?P<flag>\d) .* alt=(?P<alt>\d) mode=(?P<mode>\d).*?:"
    r" (?P<width>\d+)x(?P<height>\d+) .* inputoff=(?P<off>\d) sync=(?P<sync>\d) dead=(?P<dead>\d)/\S*"
    r" title=(?P<title>.*)"
)


BOXED = ("claude", "codex", "copilot", "gemini")
"""The programs whose input box is described."""
IDLE = frozenset({"idle", "after-submit", "after-long"})
WORKING = frozenset({"busy", "busy-queued"})
DRAFTS = frozenset({"half", "multi", "draft", "long10k-in-box"})
DIALOGS = frozenset({"approval", "ask", "trust"})
UNSAFE = DRAFTS | DIALOGS
"""States of a program with an input box, by what a message would do there."""


def program_of(name: str) -> str:
    return name.partition("-")[0]


def state_of(name: str) -> str:
    """Return what a recording of a program with a known box shows; empty for another program's."""
    program, _, state = name.partition("-")
    return state if program in BOXED else ""


def options(dialog: PaneFacts) -> int:
    """Return the row of a recorded dialog's first choice."""
    return next(number for number, row in enumerate(dialog.rows) if re.search(r"[❯›●] ?1\.", plain(row)))


def names() -> list[str]:
    return sorted(path.name.removesuffix(".meta.txt") for path in FOLDER.glob("*.meta.txt"))


def load(name: str) -> PaneFacts:
    """Return a recording as the agent would see that screen: tmux then gives no blanks at the end of a row."""
    meta = _META.fullmatch((FOLDER / f"{name}.meta.txt").read_text().rstrip("\n"))
    assert meta, name
    rows = (FOLDER / f"{name}.txt").read_text().split("\n")[: int(meta["height"])]
    return PaneFacts(
        pane="%0",
        pid=1000,
        tty="/dev/pts/0",
        command=meta["command"],
        title=meta["title"],
        dead=meta["dead"] == "1",
        in_mode=meta["mode"] == "1",
        synchronized=meta["sync"] == "1",
        input_off=meta["off"] == "1",
        alternate=meta["alt"] == "1",
        cursor_x=int(meta["x"]),
        cursor_y=int(meta["y"]),
        cursor_visible=meta["flag"] == "1",
        width=int(meta["width"]),
        height=int(meta["height"]),
        denied=False,
        shell_is_agent=False,
        rows=tuple(row.rstrip(" ") for row in rows),
    )


def profile(name: str) -> Profile:
    return msgspec.convert(tomllib.loads((PROFILES / f"{name}.toml").read_text()), Profile)
