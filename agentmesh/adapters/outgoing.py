"""What goes out as a drop: a file, a folder, or what was read from a stream, measured once."""

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

from agentmesh.adapters.archive import Archive
from agentmesh.errors import BadFile, DropFailed

PIECE = 1024 * 1024
"""Bytes that are read at once to measure a file."""

Advance = Callable[[int], None]
"""Hears how many bytes more are done."""


class Content(Protocol):
    """Bytes that stay the same for as long as they are open."""

    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes from an offset on, never beyond what was measured. Raises BadFile."""
        ...

    def close(self) -> None:
        """Let go of them."""
        ...


class _File:
    """The bytes that a regular file had when it was opened: what is added later isn't of it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset on. Raises BadFile."""
        size = min(size, self.size - offset)
        try:
            data = os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise BadFile(path=self._path, reason=error.strerror or error) from error
        if size and not data:
            raise BadFile(path=self._path, reason="it became shorter while it was read; send it again")
        return data

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class Outgoing:
    """A drop on its way out: what was measured is what is sent."""

    def __init__(self, name: str, content: Content, left_out: list[Path] | None = None) -> None:
        """Take over a content, not measured yet."""
        self.name = os.fsencode(name).decode(errors="replace")
        self.size = content.size
        self.sha256 = ""
        """Of the whole content; empty before it is measured."""
        self.folder = isinstance(content, Archive)
        """Whether it is a tar archive of a folder."""
        self.left_out = [os.fsencode(path).decode(errors="replace") for path in left_out or []]
        self.read = content.read
        self._close = content.close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def measure(self, advance: Advance) -> None:
        """Read it once for its digest. Takes long. Raises BadFile."""
        digest, offset = hashlib.sha256(), 0
        while offset < self.size:
            data = self.read(offset, PIECE)
            digest.update(data)
            offset += len(data)
            advance(len(data))
        self.sha256 = digest.hexdigest()


def open_outgoing(path: Path) -> Outgoing:
    """Open a file, or a folder as ``<name>.tar``. Raises BadFile."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            name = path.name if path.name not in {"", ".."} else path.resolve().name or "root"
            archive = Archive(path, name)
            return Outgoing(f"{name}.tar", archive, archive.left_out)
        if not stat.S_ISREG(kind):
            reason = (
                "it isn't a regular file or a folder. What comes through a pipe can be sent with --file - --name NAME"
            )
            raise BadFile(path=path, reason=reason)
        return Outgoing(path.name, _File(path, os.open(path, os.O_RDONLY | os.O_NONBLOCK)))
    except OSError as error:
        raise BadFile(path=path, reason=error.strerror or error) from error


class Spool:
    """Keeps what comes from a stream in a file that has no name, so that nothing of it outlives this process."""

    def __init__(self, folder: Path, name: str, largest: int) -> None:
        """Make ready in a private folder. Raises DropFailed."""
        self._name, self._largest, self._size = name, largest, 0
        try:
            descriptor, path = tempfile.mkstemp(dir=folder, prefix="input-")
            Path(path).unlink()
        except OSError as error:
            raise self._failed(error) from error
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """Add bytes. Raises BadFile, DropFailed."""
        self._size += len(data)
        if self._size > self._largest:
            raise BadFile(path="standard input", reason=f"it has more than {self._largest:,} bytes")
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Throw away what was kept."""
        os.close(self._descriptor)

    def outgoing(self) -> Outgoing:
        """Return what was kept as a drop, which closes it."""
        return Outgoing(self._name, _File(Path("standard input"), self._descriptor))

    def _failed(self, error: OSError) -> DropFailed:
        reason = "the disk of this host is full" if error.errno in DISK_FULL else error.strerror or error
        return DropFailed(name=self._name, host="this host", reason=reason)


DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
