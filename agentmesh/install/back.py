"""Plan the way back: what undoes each change of install, as far as what it made is still as it was."""

import os
from collections.abc import Iterator
from pathlib import Path

from agentmesh.adapters.files import shown_path
from agentmesh.install.block import Marks, unmuted, without_block
from agentmesh.install.change import (
    AnyChange,
    Crontab,
    Links,
    MakeFolder,
    Move,
    Plan,
    Remove,
    RemoveFolder,
    Run,
    SetMode,
    Write,
)
from agentmesh.install.edits import without_ours
from agentmesh.install.system import System


def way_back(change: AnyChange, system: System) -> Plan:
    """Return what undoes a change; nothing where there is nothing to undo."""
    match change:
        case MakeFolder() if change.path.is_dir():
            return Plan(
                (RemoveFolder(says=f"remove {shown_path(change.path)}, if nothing else is in it", path=change.path),)
            )
        case SetMode():
            says = f"open {shown_path(change.path)} as it was ({change.mode:o} to {change.before:o})"
            return Plan((SetMode(says=says, path=change.path, mode=change.before, before=change.mode),))
        case Write():
            return _unwrite(change)
        case Links():
            ours = {Path(name): target for name, target in change.links.items()}
            left = tuple(path for path, target in ours.items() if path.is_symlink() and path.readlink() == target)
            names = ", ".join(shown_path(path) for path in left)
            return Plan((Remove(says=f"remove {names}", paths=left),) if left else ())
        case Move():
            return _move_back(change)
        case Crontab():
            return Plan(tuple(_uncrontab(system)))
        case Run() if change.back and (change.of is None or change.of in system.servers):
            return Plan((Run(says=change.back_says, commands=change.back, optional=True),))
        case _:
            return Plan(())


def _unwrite(change: Write) -> Plan:
    path = change.path
    if not path.is_file():
        return Plan(())
    present = path.read_bytes()
    if present != change.content and change.marks is None:
        return Plan((), (f"{shown_path(path)} has been changed since, and stays",))
    if present == change.content:
        wanted = change.before
    else:
        try:
            wanted = without_ours(present, change.marks or Marks.SCRIPT)
        except ValueError as error:
            return Plan((), (f"{shown_path(path)} stays as it is: {error}",))
    if wanted == present:
        return Plan(())
    if wanted is None:
        return Plan((_remove(path),))
    says = f"take our part out of {shown_path(path)}"
    return Plan((Write(says=says, path=path, content=wanted, mode=path.stat().st_mode & 0o777),))


def _move_back(change: Move) -> Plan:
    if not os.path.lexists(change.to):
        return Plan(())
    return Plan((Move(says=f"put {shown_path(change.path)} back", path=change.to, to=change.path),))


def _uncrontab(system: System) -> Iterator[Crontab]:
    text = system.asked("crontab", "-l") or ""
    wanted = unmuted(without_block(text, Marks.SCRIPT))
    if wanted != text:
        yield Crontab(says="take our line out of your crontab", content=wanted, before=text)


def _remove(path: Path) -> Remove:
    return Remove(says=f"remove {shown_path(path)}", paths=(path,))
