"""Recorded screens as values; README.md beside this file says how they were made."""

import re
import tomllib
from pathlib import Path

import msgspec

from agentmesh.core.capture import FACTS, SCREEN, recorded_facts, recorded_tty
from agentmesh.core.model import Profile
from agentmesh.core.readiness import TtyFacts
from agentmesh.core.screen import PaneFacts, plain

FOLDER = Path(__file__).parent
PROFILES = Path(__file__).parents[2] / "agentmesh" / "profiles"
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
    return recorded_facts((FOLDER / f"{name}{SCREEN}").read_text(), _meta(name))


def tty(name: str) -> TtyFacts | None:
    """Return what the kernel said when the recording was made, where that was kept."""
    return recorded_tty(_meta(name))


def _meta(name: str) -> str:
    return (FOLDER / f"{name}{FACTS}").read_text()


def profile(name: str) -> Profile:
    return msgspec.convert(tomllib.loads((PROFILES / f"{name}.toml").read_text()), Profile)
