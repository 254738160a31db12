"""A process and all that it has started: which live, what they have open, and their end."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from agentmesh.adapters.process import descendants, read_process, read_table, started

Tree = dict[int, str]
"""By number: when each process began, so that a later one of that number isn't taken for it."""


def tree(pid: int, shared: str = "") -> Tree:
    """Return a process and its descendants, without those whose command line has a pattern, and without theirs."""
    first = read_process(pid)
    if first is None:
        return {}
    if sys.platform == "linux":
        family = descendants(first)
    else:
        table, family = read_table(), [first]
        for known in family:
            family += [process for process in table.values() if process.parent == known.pid]
    apart: set[int] = set()
    for process in family:  # parents come before their children
        is_shared = shared and process is not first and re.search(shared, " ".join(process.arguments))
        if is_shared or process.parent in apart:
            apart.add(process.pid)
    return {each.pid: began for each in family if each.pid not in apart and (began := started(each.pid))}


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
