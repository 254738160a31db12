"""The kinds of change that install and uninstall make, as values: each says in one line what it does."""

from pathlib import Path
from typing import TypeAlias

import msgspec

from agentmesh.install.block import Marks

Command: TypeAlias = tuple[str, ...]


class Change(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """One step of a plan."""

    says: str
    """What is done, as a person reads it."""


class MakeFolder(Change, frozen=True):
    """A folder that isn't there."""

    path: Path
    mode: int = 0o755


class RemoveFolder(Change, frozen=True):
    """A folder that goes when nothing is left in it."""

    path: Path


class SetMode(Change, frozen=True):
    """Who may enter a folder."""

    path: Path
    mode: int
    before: int


class Prepare(Change, frozen=True):
    """What the agent makes of our home when it starts: folders, the host's key, the launchers."""

    home: Path
    found: frozenset[str]
    """What stood in the home before."""


class Write(Change, frozen=True):
    """A file's whole content."""

    path: Path
    content: bytes
    mode: int = 0o644
    before: bytes | None = None
    """What stood there; None when there was no such file."""
    kept: Path | None = None
    """Where a copy of that is put for the user."""
    marks: Marks | None = None
    """Where the file is the user's: the marks of our block in it."""


class Remove(Change, frozen=True):
    """Files of ours, and folders with all that is in them; what isn't there is no error."""

    paths: tuple[Path, ...]


class Links(Change, frozen=True):
    """Symbolic links, by where they stand, to what they lead to."""

    links: dict[str, Path]


class Move(Change, frozen=True):
    """Something put elsewhere, whole."""

    path: Path
    to: Path


class Crontab(Change, frozen=True):
    """The user's whole crontab."""

    content: str
    before: str


class Run(Change, frozen=True):
    """Commands, one after another, each of which must succeed; and those that undo them."""

    commands: tuple[Command, ...]
    back_says: str = ""
    """Empty when there is nothing to undo."""
    back: tuple[Command, ...] = ()
    of: Path | None = None
    """The socket of the tmux server that the commands are for; when it is gone, there is nothing to undo."""
    optional: bool = False
    """Whether the plan goes on when they fail, as where a person has done the same before."""


class Stop(Change, frozen=True):
    """The agent of a home, ended; one that hangs, too."""

    home: Path


class Start(Change, frozen=True):
    """An agent that goes on in the background; done when it answers."""

    command: Command
    home: Path


FileChange: TypeAlias = MakeFolder | RemoveFolder | SetMode | Write | Remove | Links | Move
AnyChange: TypeAlias = FileChange | Prepare | Crontab | Run | Stop | Start


class Plan(msgspec.Struct, frozen=True):
    """What will be done, and what a person should know of it."""

    changes: tuple[AnyChange, ...]
    notes: tuple[str, ...] = ()
    """What is left as it is, and why."""

    def __add__(self, other: "Plan") -> "Plan":
        """Return both, one after the other."""
        return Plan((*self.changes, *other.changes), (*self.notes, *other.notes))
