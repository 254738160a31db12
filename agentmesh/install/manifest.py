"""What install has done here, change by change, so that uninstall can undo it: ``install.json`` in our home."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from agentmesh.adapters.files import make_private_folder, replace
from agentmesh.errors import BadConfiguration
from agentmesh.install.change import AnyChange, Crontab, Run, Write


class Manifest:
    """The changes that stand, in the order in which they were made. A change is written down before it is made."""

    def __init__(self, path: Path) -> None:
        """Read the file, when there is one. Raises BadConfiguration."""
        self.path = path
        self.changes: list[AnyChange] = []
        try:
            self.changes = msgspec.json.decode(path.read_bytes(), type=list[AnyChange], dec_hook=_decode)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            raise BadConfiguration(path=path, reason=error) from error

    def add(self, change: AnyChange) -> None:
        """Write a change down, in place of one that is undone in the same way.

        Raises BadConfiguration.
        """
        self.changes = [other for other in self.changes if not _is_undone_alike(other, change)]
        self.changes.append(change)
        self._save()

    def written(self, path: Path) -> Write | None:
        """Return what install has written to a file."""
        return next((change for change in self.changes if isinstance(change, Write) and change.path == path), None)

    def _save(self) -> None:
        try:
            make_private_folder(self.path.parent)
            replace(self.path, rendered(self.changes))
        except OSError as error:
            raise BadConfiguration(path=self.path, reason=error) from error


def rendered(changes: Iterable[AnyChange]) -> bytes:
    """Return changes as they stand in the file."""
    return msgspec.json.format(msgspec.json.encode(list(changes), enc_hook=os.fspath))


def _is_undone_alike(one: AnyChange, other: AnyChange) -> bool:
    match one, other:
        case Write(), Write():
            return one.path == other.path
        case Run(), Run():
            return one.back == other.back
        case Crontab(), Crontab():
            return True
        case _:
            return one == other


def _decode(kind: type, value: Any) -> Any:  # noqa: ANN401 (msgspec's hook)
    return kind(value)
