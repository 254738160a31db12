"""The process table: who is whose parent, what stands in front of a terminal. Linux's /proc, elsewhere ps(1)."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

_POLL_SECONDS = 2.0
_INTERPRETERS = ("python", "node", "nodejs", "bun", "deno", "ruby", "perl", "bash", "sh", "dash", "zsh")
_SHELL_OPTIONS_WITH_VALUE = {"--rcfile", "--init-file", "-O", "-o", "+O", "+o"}
_INTERPRETER_OPTIONS_WITH_VALUE = {"-r", "--require", "--import", "--loader", "--experimental-loader", "-X", "-W"}
_READ_SYSCALLS = {("x86_64", "0"), ("aarch64", "63"), ("riscv64", "63"), ("armv7l", "3"), ("i686", "3")}


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the table."""

    pid: int
    parent: int
    group: int
    front: int
    """The foreground process group of its terminal (tpgid); -1 without a terminal."""
    name: str
    """What the kernel calls it."""
    arguments: tuple[str, ...] = ()


Table = dict[int, Process]


def read_process(pid: int) -> Process | None:
    """Return a process, or None when there is none."""
    if sys.platform != "linux":
        return read_table().get(pid)
    status, raw = _read_file(f"/proc/{pid}/stat"), _read_file(f"/proc/{pid}/cmdline")
    if not status:
        return None
    # proc(5): "pid (comm) state ppid pgrp session tty_nr tpgid …"; comm may hold anything.
    head, _, tail = os.fsdecode(status).rpartition(")")
    _, parent, group, _, _, front, *_ = tail.split()
    return Process(
        pid=pid,
        parent=int(parent),
        group=int(group),
        front=int(front),
        name=head.partition("(")[2],
        arguments=tuple(os.fsdecode(raw).rstrip("\0").split("\0")) if raw else (),
    )


def _read_file(path: str) -> bytes:
    """Return what the kernel says in a file of /proc; nothing when the process is gone or closed to us."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (a pathlib object costs more than the file)
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def read_table() -> Table:
    """Return every process."""
    if sys.platform == "linux":
        found = (read_process(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 (as below)
        return {process.pid: process for process in found if process}
    command = ["ps", "-axo", "pid=,ppid=,pgid=,tpgid=,command="]
    # POSIX names ps(1); where it lies differs by system.
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=4) for line in listing.splitlines())
    return {
        int(pid): Process(
            pid=int(pid),
            parent=int(parent),
            group=int(group),
            front=int(front) if front.lstrip("-").isdigit() else -1,
            name=os.path.basename(command.split()[0].lstrip("-")),  # noqa: PTH119 (a name, not a path)
            arguments=tuple(command.split()),
        )
        for pid, parent, group, front, command in rows
    }


def ancestors(pid: int) -> Iterator[int]:
    """Yield a process and its ancestors, nearest first."""
    while pid > 1:
        yield pid
        pid = _parent(pid)


def _parent(pid: int) -> int:
    """Return a process's parent; 0 when there is no such process."""
    if sys.platform != "linux":
        process = read_process(pid)
        return process.parent if process else 0
    status = _read_file(f"/proc/{pid}/stat")
    return int(status.rpartition(b")")[2].split()[1]) if status else 0


def started(pid: int) -> str:
    """Return when a process began, in the system's own terms, which no other process of that number has; or nothing.

    Nothing is what there is of a process that has ended, though its parent may not have asked for its end yet.
    """
    if sys.platform != "linux":
        command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
        listing = subprocess.run(command, capture_output=True, text=True, check=False)
        state, _, began = listing.stdout.strip().partition(" ")
        return "" if state.startswith("Z") else began.strip()
    # proc(5): after "pid (comm)" the state is the third field, and the start, in ticks since the boot, the 22nd.
    fields = _read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if not fields or fields[0] in {b"Z", b"X"}:
        return ""
    return f"{_boot()} {int(fields[19])}"


@cache
def _boot() -> str:
    return _read_file("/proc/sys/kernel/random/boot_id").decode().strip()


def openers(file: Path) -> list[int]:
    """Return the processes, of those that we may look into, that have a file open; but not this one."""
    if sys.platform != "linux":
        command = ["lsof", "-t", "--", os.fspath(file)]
        listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return [pid for pid in map(int, listing.split()) if pid != os.getpid()]
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 (as above)
    return [pid for pid in pids if pid != os.getpid() and _has_open(pid, file)]


def _has_open(pid: int, file: Path) -> bool:
    # Only a descriptor of that name is asked which file it is: another's may be on a disk that doesn't answer.
    with suppress(OSError):  # the process has gone, or is another user's
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if descriptor.readlink().name == file.name and descriptor.samefile(file):
                    return True
    return False


async def until_ended(pid: int) -> None:
    """Return when a process has ended, though it isn't our child: at once on Linux (pidfd_open(2)), else soon."""
    if sys.platform != "linux":
        while read_process(pid) is not None:  # noqa: ASYNC110 (no event tells of it there)
            await asyncio.sleep(_POLL_SECONDS)
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def in_front(pane_pid: int, table: Table | None = None) -> list[Process]:
    """Return the processes in front of the terminal on which a pane's process runs, the group's leader first.

    Without a table, the processes are looked up below the pane's process, which is quicker for one pane.
    """
    first = table.get(pane_pid) if table is not None else read_process(pane_pid)
    if first is None:
        return []
    family = table.values() if table is not None else descendants(first)
    front = [process for process in family if process.group == first.front]
    return sorted(front, key=lambda process: (process.pid != first.front, process.pid))


def descendants(first: Process) -> list[Process]:
    """Return a process, and all that it has started, directly or not; elsewhere than on Linux every process."""
    if sys.platform != "linux":
        return list(read_table().values())
    found, waiting = [first], [first.pid]
    while waiting:
        pid = waiting.pop()
        for child in map(int, _read_file(f"/proc/{pid}/task/{pid}/children").split()):
            if process := read_process(child):
                found.append(process)
                waiting.append(child)
    return found


def names(process: Process) -> list[str]:
    """Return what a process may be known by: its script's and package's names if it interprets one, else its program's.

    >>> names(Process(pid=1, parent=0, group=1, front=1, name="node", arguments=("node", "/opt/bin/codex.js")))
    ['codex']
    >>> names(Process(pid=1, parent=0, group=1, front=1, name="claude", arguments=("claude",)))
    ['claude']
    """
    program = _program(process.arguments[0]) if process.arguments else process.name
    interpreter = program.rstrip("0123456789.").lower()
    if interpreter not in _INTERPRETERS:
        return list(dict.fromkeys([program, process.name]))
    script = _script(process.arguments)
    known = [*_titles(script)] if script else [program, interpreter]
    if not process.name.lower().startswith((*_INTERPRETERS, "MainThread".lower())):
        known.append(process.name)
    return list(dict.fromkeys(known))


def _program(path: str) -> str:
    """Return a program's name; one that is installed by its version alone is named by the folder of its versions."""
    name = _base(path).removesuffix(".exe")
    folders = path.split("/")[:-1]
    if folders[-1:] == ["versions"] and len(folders) > 1 and name.replace(".", "").isdigit():
        return folders[-2]
    return name


def _script(arguments: tuple[str, ...]) -> str | None:
    """Return the script that an interpreter was started with."""
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in _INTERPRETER_OPTIONS_WITH_VALUE:
            next(rest, None)
        elif not argument.startswith("-"):
            return argument
    return None


def _titles(script: str) -> Iterator[str]:
    """Yield what a script may be called by: its own name, and that of the package it belongs to."""
    *folders, name = script.split("/")
    if name == "__main__.py" and folders:
        name = folders[-1]
    yield name.rsplit(".", 1)[0] if "." in name.lstrip(".") else name
    if "node_modules" in folders:
        inside = folders[len(folders) - folders[::-1].index("node_modules") :]
        package = [folder for folder in inside[:2] if not folder.startswith(("@", "."))]
        yield from package[:1]


def is_interactive_shell(process: Process, shells: frozenset[str]) -> bool:
    """Tell whether a process is a shell that reads commands from its terminal, rather than running a script.

    >>> shell = Process(pid=1, parent=0, group=1, front=1, name="bash", arguments=("-bash",))
    >>> is_interactive_shell(shell, frozenset({"bash"}))
    True
    >>> script = Process(pid=1, parent=0, group=1, front=1, name="bash", arguments=("bash", "job.sh"))
    >>> is_interactive_shell(script, frozenset({"bash"}))
    False
    """
    program = _base(process.arguments[0]) if process.arguments else process.name
    if program not in shells:
        return False
    arguments = iter(process.arguments[1:])
    for argument in arguments:
        if argument in _SHELL_OPTIONS_WITH_VALUE:
            next(arguments, None)
        elif argument.startswith("--"):
            continue
        elif not argument.startswith(("-", "+")) or "c" in argument:
            return False
    return True


def is_reading(process: Process, tty: str) -> bool:
    """Tell whether a process is known to wait in a read(2) of a terminal. False where the kernel doesn't say."""
    number, *arguments = _read_file(f"/proc/{process.pid}/syscall").decode().split() or [""]
    if not arguments or (os.uname().machine, number) not in _READ_SYSCALLS:
        return False
    try:
        return os.readlink(f"/proc/{process.pid}/fd/{int(arguments[0], 16)}") == tty  # noqa: PTH115 (as above)
    except OSError:
        return False


def _base(path: str) -> str:
    return os.path.basename(path).lstrip("-")  # noqa: PTH119 (a name, not a path)
