"""A file of lines that only grows: every line that was appended is on the disk, whole, whoever else appends."""

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from agentmesh.adapters.files import PRIVATE_FILE, sync_folder


def append(path: Path, following: Callable[[int, bytes], Sequence[bytes]]) -> None:
    """Append what follows on a file's lines: ``following`` is told how many there are, and the last of them.

    Other processes that append wait meanwhile. What a crash has left of a line is cut off first. The lock is that of
    fcntl(2), which holds on network file systems, too.
    """
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    with open(descriptor, "r+b") as file:  # noqa: PTH123 (it takes over the descriptor)
        fcntl.lockf(file, fcntl.LOCK_EX)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].splitlines()
        added = following(len(lines), lines[-1] if lines else b"")
        if added or whole < len(content):
            file.seek(whole)
            file.truncate()
            file.writelines(line + b"\n" for line in added)
            file.flush()
            os.fsync(descriptor)
    if is_new:
        sync_folder(path.parent)


def read(path: Path) -> list[bytes]:
    """Return the whole lines of a file; none when there is no file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return content[: content.rfind(b"\n") + 1].splitlines()
