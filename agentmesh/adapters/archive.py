"""A folder as a tar archive that is nowhere written: any part of it can be read. The same tree gives the same bytes."""

import os
import stat
import tarfile
from bisect import bisect
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agentmesh.errors import BadFile


class _Member(msgspec.Struct, frozen=True):
    """An entry of the archive, as it was found."""

    path: Path
    name: str
    state: tuple[int, int, int, int, int]
    """Device, inode, mode, size and time of the last change in nanoseconds."""
    link: str = ""

    @property
    def size(self) -> int:
        """The bytes of its content."""
        return self.state[3] if stat.S_ISREG(self.state[2]) else 0

    def header(self) -> bytes:
        """Return what stands before its content. Who owns it is this host's affair, and stays here."""
        info = tarfile.TarInfo(self.name)
        _, _, mode, _, changed = self.state
        info.mode, info.mtime, info.size, info.linkname = (
            stat.S_IMODE(mode) & 0o777,
            changed // 10**9,
            self.size,
            self.link,
        )
        info.type = tarfile.DIRTYPE if stat.S_ISDIR(mode) else tarfile.SYMTYPE if self.link else tarfile.REGTYPE
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


class Archive:
    """A folder's archive: symbolic links stay links, and nothing is followed out of the folder."""

    def __init__(self, folder: Path, name: str) -> None:
        """List a folder; ``name`` is what it is called in the archive. Raises BadFile."""
        self.left_out: list[Path] = []
        """What can't be in a file: sockets, pipes, devices."""
        self._members: list[_Member] = []
        self._starts: list[int] = []
        self._open: tuple[int, int] | None = None
        end = 0
        for member in self._walk(folder, name):
            self._members.append(member)
            self._starts.append(end)
            end += len(member.header()) + _padded(member.size)
        self.size = -(-(end + 2 * tarfile.BLOCKSIZE) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the archive from an offset on. Raises BadFile when the folder isn't any more as it was."""
        size = min(size, self.size - offset)
        parts, length = [], 0
        while length < size:
            part = self._part(offset + length, size - length)
            parts.append(part)
            length += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file that was read last."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _walk(self, path: Path, name: str) -> Iterator[_Member]:
        try:
            found = path.lstat() if self._members else path.stat()
            if stat.S_ISLNK(found.st_mode):
                yield _Member(path, name, _state(found), os.readlink(path))  # noqa: PTH115 (its bytes as they are)
            elif stat.S_ISREG(found.st_mode):
                yield _Member(path, name, _state(found))
            elif stat.S_ISDIR(found.st_mode):
                yield _Member(path, name, _state(found))
                for inner in sorted(os.listdir(path), key=os.fsencode):  # noqa: PTH208 (names alone)
                    yield from self._walk(path / inner, f"{name}/{inner}")
            else:
                self.left_out.append(path)
        except OSError as error:
            raise BadFile(path=error.filename or path, reason=error.strerror or error) from error

    def _part(self, offset: int, size: int) -> bytes:
        """Return the bytes from an offset on, up to the end of what they belong to."""
        number = bisect(self._starts, offset) - 1
        if number < 0:
            return bytes(size)
        member = self._members[number]
        header = member.header()
        within = offset - self._starts[number]
        if within < len(header):
            return header[within : within + size]
        within -= len(header)
        if within < member.size:
            return self._content(number, within, min(size, member.size - within))
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self.size
        return bytes(min(size, end - offset))

    def _content(self, number: int, offset: int, size: int) -> bytes:
        """Return bytes of a file, which must be the very one that was listed, from its first byte to its last."""
        member = self._members[number]
        try:
            if self._open is None or self._open[0] != number:
                self.close()
                self._open = number, os.open(member.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            data = os.pread(self._open[1], size, offset)
            unchanged = _state(os.fstat(self._open[1])) == member.state
        except OSError as error:
            raise BadFile(path=member.path, reason=error.strerror or error) from error
        if not unchanged or not data:
            raise BadFile(path=member.path, reason="it changed while its folder was read; send it again")
        return data


def _state(found: os.stat_result) -> tuple[int, int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
