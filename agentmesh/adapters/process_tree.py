"""A process and all that it has started: which live, what they have open, and their end."""

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from agentmesh.adapters.process import descendants, read_process, read_table, started

Tree = dict[int, str]
"""By number: when each process began, so that a later one of that number isn't taken for it."""


def tree(pid: int) -> Tree:
    """Return a process and its descendants."""
    first = read_process(pid)
    if first is None:
        return {}
    if sys.platform == "linux":
        pids = [process.pid for process in descendants(first)]
    else:
        table, pids = read_table(), [pid]
        for known in pids:
            pids += [process.pid for process in table.values() if process.parent == known]
    return {each: began for each in pids if (began := started(each))}


def living(processes: Tree) -> Tree:
    """Return those that have not ended."""
    return {pid: began for pid, began in processes.items() if started(pid) == began}


def send_signal(processes: Tree, number: int) -> None:
    """Send a signal to those that live."""
    for pid in living(processes):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def open_files(pids: Iterable[int]) -> set[str]:
    """Return the paths that processes have open, as far as we may look into them."""
    if sys.platform != "linux":
        command = ["lsof", "-Fn", "-p", ",".join(map(str, pids))]
        listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return {line[1:] for line in listing.splitlines() if line.startswith("n/")}
    found = set()
    for pid in pids:
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    found.add(os.readlink(descriptor))  # noqa: PTH115 (a text)
    return found
