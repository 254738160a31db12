"""Recorded conversations: what was said in earlier versions, byte for byte, and must be understood in this one.

They lie in `transcripts/`; its README says how they are made.
"""

from pathlib import Path
from typing import Literal

import msgspec

FOLDER = Path(__file__).with_name("transcripts")
CALLER, ANSWERER = "visitor", "keeper"
"""The hosts that converse: a recorder, which spoke this project's frames of its time, and a real agent."""


class Piece(msgspec.Struct, frozen=True):
    """What one side said in one breath: a frame; or a command that was run on the answerer's host."""

    conversation: Literal["link", "drop", "command"]
    by: str
    text: str
    """The bytes, each as the character of its number; of a command its words."""

    @property
    def data(self) -> bytes:
        """The bytes themselves."""
        return self.text.encode("latin-1")


def piece(conversation: Literal["link", "drop", "command"], by: str, data: bytes) -> Piece:
    """Return what was said."""
    return Piece(conversation, by, data.decode("latin-1"))


def transcripts() -> list[Path]:
    """Return every transcript there is."""
    return sorted(FOLDER.glob("*.jsonl"))


def load(path: Path) -> list[Piece]:
    """Read a transcript: one piece a line."""
    return [msgspec.json.decode(line, type=Piece) for line in path.read_bytes().splitlines()]


def save(path: Path, pieces: list[Piece]) -> None:
    """Write a new transcript; one that exists is never changed."""
    with path.open("xb") as file:
        file.writelines(msgspec.json.encode(piece) + b"\n" for piece in pieces)
