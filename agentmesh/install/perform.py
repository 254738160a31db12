"""Make a change. Each can be made again where it was made in part: what is there already is left."""

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import assert_never

from agentmesh.adapters.files import make_private_folder, replace
from agentmesh.config import Paths
from agentmesh.errors import InstallFailed
from agentmesh.install.agent import START_SECONDS, stop, wait_until_it_listens
from agentmesh.install.change import (
    AnyChange,
    Crontab,
    FileChange,
    Links,
    MakeFolder,
    Move,
    Prepare,
    Remove,
    RemoveFolder,
    Run,
    SetMode,
    Start,
    Stop,
    Write,
)
from agentmesh.install.system import run


def perform(change: AnyChange) -> None:
    """Make a change. Raises InstallFailed, and what the agent's own preparation raises."""
    try:
        _perform(change)
    except OSError as error:
        raise InstallFailed(what=change.says, reason=error) from error


def _perform(change: AnyChange) -> None:
    match change:
        case Prepare():
            from agentmesh.agent.app import prepare  # noqa: PLC0415 (slow, and only needed here)

            prepare(Paths(change.home))
        case Crontab():
            _run(change, ("crontab", "-") if change.content else ("crontab", "-r"), change.content)
        case Run():
            for command in change.commands:
                _run(change, command)
        case Stop():
            asyncio.run(stop(Paths(change.home)))
        case Start():
            _start(change)
        case _:
            _change_file(change)


def _change_file(change: FileChange) -> None:
    match change:
        case MakeFolder():
            change.path.mkdir(mode=change.mode, exist_ok=True)
        case RemoveFolder():
            _remove_empty(change.path)
        case SetMode():
            change.path.chmod(change.mode)
        case Write():
            _write(change)
        case Remove():
            _remove(change.paths)
        case Links():
            _link(change.links)
        case Move():
            change.to.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(change.path, change.to)
        case _:
            assert_never(change)


def _write(change: Write) -> None:
    if change.kept is not None and change.before is not None and not change.kept.exists():
        make_private_folder(change.kept.parent)
        replace(change.kept, change.before)
    replace(change.path, change.content, change.mode)


def _remove(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _link(links: dict[str, Path]) -> None:
    for name, target in links.items():
        Path(name).symlink_to(target)


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _run(change: AnyChange, command: tuple[str, ...], text: str = "") -> None:
    done = run(command, text)
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"{command[0]} ended with exit code {done.returncode}"
        raise InstallFailed(what=change.says, reason=said)


def _start(change: Start) -> None:
    agent = subprocess.Popen(
        change.command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if not wait_until_it_listens(Paths(change.home), lambda: agent.poll() is not None):
        ended = agent.poll() is not None
        reason = "it ended at once; `agentmesh run` shows why" if ended else f"nothing after {START_SECONDS:g} s"
        raise InstallFailed(what=change.says, reason=reason)
