"""Plan our own home and the ways to our programs: folders, launchers, the copy of the tmux hooks, links on the PATH."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from agentmesh.adapters.files import PRIVATE_FOLDER, shown_path
from agentmesh.config import Paths, hooks_file
from agentmesh.install.change import AnyChange, Links, MakeFolder, Plan, Prepare, SetMode, Write
from agentmesh.install.system import System


def hooks_copy(paths: Paths) -> Path:
    """Return where tmux finds our hooks, wherever this package is installed."""
    return paths.home / "hooks.tmux.conf"


def plan_home(system: System) -> Plan:
    """Plan the folders of our home, closed to others, and what the agent needs in it."""
    return Plan(tuple(_home(system.paths)))


def _home(paths: Paths) -> Iterator[AnyChange]:
    if paths.home.is_dir() and (mode := paths.home.stat().st_mode & 0o777) != PRIVATE_FOLDER:
        says = f"close {shown_path(paths.home)} to other users ({mode:o} to {PRIVATE_FOLDER:o})"
        yield SetMode(says=says, path=paths.home, mode=PRIVATE_FOLDER, before=mode)
    if not _is_prepared(paths):
        found = frozenset(path.name for path in paths.home.iterdir()) if paths.home.is_dir() else frozenset()
        found = frozenset() if found == {paths.self.name} else found  # the name alone was put there for this install
        says = f"furnish {shown_path(paths.home)}: folders closed to others, this host's key, the programs in bin/"
        yield Prepare(says=says, home=paths.home, found=found)
    hooks = hooks_copy(paths)
    if not hooks.is_file() or hooks.read_bytes() != hooks_file().read_bytes():
        says = f"put the tmux hooks into {shown_path(hooks)}"
        yield Write(says=says, path=hooks, content=hooks_file().read_bytes(), mode=0o600)


def _is_prepared(paths: Paths) -> bool:
    from agentmesh.agent.launchers import launchers  # noqa: PLC0415 (of the agent, which install is no part of)

    folders = (paths.home, paths.spool, paths.pane_locks, paths.buffers, paths.input, paths.bin, paths.log.parent)
    return (
        all(folder.is_dir() and folder.stat().st_mode & 0o777 == PRIVATE_FOLDER for folder in folders)
        and paths.key.exists()
        and paths.event.exists()
        and all(_has(paths.bin / name, text) for name, text in launchers().items())
    )


def _has(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content and os.access(path, os.X_OK)


def plan_links(system: System, linked: frozenset[str]) -> Plan:
    """Plan links to our programs in a folder on the PATH; ``linked`` are those that another change makes."""
    from agentmesh.agent.launchers import launchers  # noqa: PLC0415 (as above)

    if system.paths.unusual_home:
        reason = f"no links on the PATH: with AGENTMESH_HOME, start the programs in {system.paths.bin} by their path"
        return Plan((), (reason,))
    folder = _folder_on_path(system)
    plan = Plan(tuple(missing_folders(folder)))
    links = {}
    for name in launchers():
        path, target = folder / name, system.paths.bin / name
        if not os.path.lexists(path):
            links[os.fspath(path)] = target
        elif os.fspath(path) not in linked and not _is_ours(path, target):
            plan += Plan((), (f"{shown_path(path)} is another program and stays; ours is {shown_path(target)}",))
    if links := {path: target for path, target in links.items() if path not in linked}:
        names = ", ".join(Path(path).name for path in links)
        says = f"link {names} in {shown_path(folder)} to {shown_path(system.paths.bin)}"
        plan += Plan((Links(says=says, links=links),))
    if folder not in system.search:
        plan += Plan(
            (), (f'{shown_path(folder)} is not on your PATH: add  export PATH="{folder}:$PATH"  to ~/.profile',)
        )
    return plan


def missing_folders(folder: Path, mode: int = 0o755) -> Iterator[MakeFolder]:
    """Yield what makes a folder and those above it, as far as they aren't there."""
    if not folder.is_dir():
        yield from missing_folders(folder.parent, mode)
        yield MakeFolder(says=f"make {shown_path(folder)}", path=folder, mode=mode)


def _folder_on_path(system: System) -> Path:
    usual = [system.user_home / ".local" / "bin", system.user_home / "bin"]
    return next((folder for folder in usual if folder in system.search), usual[0])


def _is_ours(path: Path, target: Path) -> bool:
    """Tell whether a program is a link to the launcher, or was put there with this package, as by pipx."""
    programs = Path(sys.executable).parent
    return path.resolve() == target.resolve() or path.resolve().parent in {programs, programs.resolve()}
