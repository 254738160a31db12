"""Recorded screens as values; README.md beside this file says how they were made."""

import re
import tomllib
from pathlib import Path

import msgspec

from agentmesh.core.model import Profile
from agentmesh.core.screen import PaneFacts

FOLDER = Path(__file__).parent
PROFILES = Path(__file__).parents[2] / "agentmesh" / "profiles"
_META = re.compile(
    r"(?P<command>\S+) cur=(?P<x>\d+),(?P<y>\d+) cflag=(?P<flag>\d) .* alt=(?P<alt>\d) mode=(?P<mode>\d).*?:"
    r" (?P<width>\d+)x(?P<height>\d+) .* inputoff=(?P<off>\d) sync=(?P<sync>\d) dead=(?P<dead>\d)/\S*"
    r" title=(?P<title>.*)"
)


def names() -> list[str]:
    return sorted(path.name.removesuffix(".meta.txt") for path in FOLDER.glob("*.meta.txt"))


def load(name: str) -> PaneFacts:
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
        rows=tuple(rows),
    )


def profile(name: str) -> Profile:
    return msgspec.convert(tomllib.loads((PROFILES / f"{name}.toml").read_text()), Profile)
