"""A file of lines that only grows: every line that was appended is on the disk, whole, whoever else appends."""

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from agentmesh.adapters.files import PRIVATE_FILE, sync_folder

_BLOCK = 64 * 1024


def append(path: Path, following: Callable[[bytes], Sequence[bytes]]) -> None:
    """Append what follows on a file's last line, which ``following`` is told; it is empty when there is none.

    Other processes that append wait meanwhile; the threads of one must not do so at once. What a crash has left of a
    line is cut off first. The lock is that of fcntl(2), which holds on network file systems, too.
    """
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    with open(descriptor, "r+b") as file:  # noqa: PTH123 (it takes over the descriptor)
        fcntl.lockf(file, fcntl.LOCK_EX)
        end = os.fstat(descriptor).st_size
        whole, last = _last_line(file, end)
        added = following(last)
        if added or whole < end:
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
    return content.split(b"\n")[:-1]


def _last_line(file: BinaryIO, end: int) -> tuple[int, bytes]:
    """Return where the whole lines of a file end, and the last of them."""
    begin, data = end, b""
    while begin and data.count(b"\n") < 2:  # noqa: PLR2004 (the last line's own, and the one before it)
        begin = max(0, begin - max(_BLOCK, len(data)))
        file.seek(begin)
        data = file.read(end - begin)
    whole = data.rfind(b"\n") + 1
    return begin + whole, data[: max(0, whole - 1)].rpartition(b"\n")[2]
