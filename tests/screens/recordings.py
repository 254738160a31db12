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
BOXED = ("claude", "codex", "copilot", "gemini", "qwen", "opencode", "aider")
"""The programs whose input box is described."""
IDLE = frozenset({"idle", "after-submit", "after-long", "failed", "quoted-dialog", "narrow-idle", "mode", "unasked"})
WORKING = frozenset({"busy", "busy-queued", "retrying"})
DRAFTS = frozenset(
    {"half", "busy-half", "narrow-half", "unasked-half", "multi", "draft", "long10k-in-box"}
) | frozenset({"menu", "completion", "early-enter"})
DIALOGS = frozenset({"approval", "ask", "trust", "narrow-approval", "panel-model"})
PANELS = frozenset({"panel-config", "panel-models", "panel-help", "panel-permissions", "panel-settings"})
OTHERS = frozenset({"starting", "login", "shell-mode"})
UNSAFE = DRAFTS | DIALOGS | PANELS | OTHERS
"""What a program with an input box shows, by the part of a recording's name after the program's."""
_CHOICE = re.compile(r"[❯›●┃] *\d\.|❯ No, exit|Allow once|\(Y\)es|enter accept|enter to select · esc")
_PRINTED = {"aider-panel-help": "aider-after-submit"}
"""Recordings of what is no panel there: aider prints its help into the conversation."""
READING_LINES = frozenset({"input-idle"})
"""Recordings of other programs that a line may be typed into."""


def program_of(name: str) -> str:
    """Return the program of a recording, whatever its version."""
    return name.partition("-")[0].partition("@")[0]


def state_of(name: str) -> str:
    """Return what a recording of a program with a known box shows; empty for another program's."""
    name = _PRINTED.get(name, name)
    return name.partition("-")[2] if program_of(name) in BOXED else ""


def options(dialog: PaneFacts) -> int:
    """Return the row of a recorded dialog's first choice."""
    return next(number for number, row in enumerate(dialog.rows) if _CHOICE.search(plain(row)))


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


def profile_of(tty: TtyFacts) -> Profile | None:
    """Return the shipped profile of the program in front."""
    shipped = [profile(path.stem) for path in PROFILES.glob("*.toml")]
    return next((found for name in tty.programs for found in shipped if name in found.processes), None)
