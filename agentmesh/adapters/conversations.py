"""Find the conversations that programs keep on disk. They are read, and never changed."""

import glob
from datetime import datetime
from itertools import islice
from pathlib import Path

import msgspec

from agentmesh.core.conversation import Conversation, is_in, member, named_in, pattern_for
from agentmesh.core.model import SessionProfile

MOST_LINES = 20
"""How many lines of a file are read for its id: some begin with lines of another kind."""
LONGEST_LINE = 1024 * 1024
"""Bytes."""


class Conversations:
    """Knows what it has read: a file's id and folder never change."""

    def __init__(self) -> None:
        self._read: dict[str, Conversation] = {}

    def find(self, profile: SessionProfile, folder: str) -> list[Conversation]:
        """Return the conversations of a program, as far as their files tell, that may be of a folder."""
        if not profile.conversations:
            return []
        pattern = str(Path(profile.conversations).expanduser())
        found = []
        for path in glob.iglob(pattern_for(pattern, folder)):  # noqa: PTH207 (an absolute pattern)
            if not profile.conversation_id:
                if identifier := named_in(path, pattern, folder):
                    found.append(Conversation(identifier, folder, path))
                continue
            if path not in self._read and (one := _read(path, profile)):
                self._read[path] = one
            if one := self._read.get(path):
                found.append(msgspec.structs.replace(one, folder=folder) if is_in(one.folder, folder) else one)
        return found


def _read(path: str, profile: SessionProfile) -> Conversation | None:
    """Return what a file tells; None when it can't be read, or doesn't tell yet."""
    try:
        with Path(path).open("rb") as file:
            for line in islice(iter(lambda: file.readline(LONGEST_LINE), b""), MOST_LINES):
                try:
                    told = msgspec.json.decode(line)
                except msgspec.DecodeError:
                    continue
                identifier = member(told, profile.conversation_id)
                folder = member(told, profile.conversation_folder)
                if identifier and folder:
                    return Conversation(identifier, folder, path, _moment(told, profile.conversation_begun))
    except OSError:
        return None
    return None


def _moment(told: object, names: str) -> float:
    """Return a moment that a line tells, Unix seconds; 0 where it tells none."""
    try:
        return datetime.fromisoformat(member(told, names)).timestamp() if names else 0.0
    except ValueError:
        return 0.0
