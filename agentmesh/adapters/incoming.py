"""What comes in as a drop: hidden and partial until all of it is here and right."""

import errno
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from agentmesh.adapters.files import PRIVATE_FILE, make_private_folder, sync_folder
from agentmesh.adapters.outgoing import DISK_FULL
from agentmesh.core.drop import numbered
from agentmesh.errors import DropFailed

KEPT_SECONDS = 7 * 24 * 3600
"""How long a part of a drop waits for the rest."""
_PART = ".{}.part"


class BeingReceived(Exception):
    """Another conversation receives the same content for the same sender just now."""


class Incoming:
    """A file that is being dropped here. The end alone decides: what a cut has left is trusted only by the digest."""

    def __init__(self, folder: Path, name: str, size: int, sha256: str, spoken_for: int = 0) -> None:
        """Make ready for a file under a safe name; ``spoken_for`` bytes of the free ones are others'.

        Takes as long as reading what is here already. Raises BeingReceived, DropFailed.
        """
        self._folder, self._name, self._size, self._sha256 = folder, name, size, sha256
        self._partial = folder / _PART.format(sha256[:32])
        self._descriptor = -1
        self.offset = 0
        """How many of its bytes are here."""
        try:
            make_private_folder(folder)
            self._place = self._same()
            if self._place is not None:
                self.offset = size
                return
            self._descriptor = self._opened()
            self._resume()
            free = shutil.disk_usage(folder).free
        except OSError as error:
            self.close()
            raise self._failed(error) from error
        if free - spoken_for < self.missing:
            self.close()
            self._forget()
            raise self._failed(f"{size:,} bytes don't fit on its disk: {max(free - spoken_for, 0):,} can be had there")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; what has come is kept."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def missing(self) -> int:
        """How many bytes are still to come."""
        return self._size - self.offset

    def write(self, data: bytes) -> None:
        """Add the next bytes. Raises DropFailed."""
        if len(data) > self.missing:
            raise self._failed("more bytes came than were announced")
        rest = memoryview(data)
        try:
            while rest:
                written = os.pwrite(self._descriptor, rest, self.offset)
                self._digest.update(rest[:written])
                self.offset += written
                rest = rest[written:]
        except OSError as error:
            if error.errno in DISK_FULL:
                self._forget()  # a part of a file helps nobody as much as the space does
            raise self._failed(error) from error

    def finish(self) -> Path | None:
        """Check the digest, make the file durable, and give it its name. Raises DropFailed.

        Returns None when what was left by a cut proves wrong: then all of it is wanted again, from the first byte.
        """
        if self._place is not None:
            return self._place
        try:
            if self._digest.hexdigest() != self._sha256:
                if self._resumed:
                    self._begin_again()
                    return None
                self._forget()
                raise self._failed(
                    "what came is not what was announced; did it change while it was read? Send it again"
                )
            os.fsync(self._descriptor)
            place = self._link()
            self._forget()
            sync_folder(self._folder)
        except OSError as error:
            raise self._failed(error) from error
        return place

    def _opened(self) -> int:
        """Open the partial file, held by this conversation alone. Raises BeingReceived, OSError."""
        descriptor = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), self._partial.stat()):
                raise BeingReceived  # noqa: TRY301 (as below)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError | FileNotFoundError):  # held, or just finished and renamed by another
                raise BeingReceived from error
            raise
        return descriptor

    def _resume(self) -> None:
        """Go on from what is here."""
        self._digest = hashlib.sha256()
        if os.fstat(self._descriptor).st_size > self._size:
            os.ftruncate(self._descriptor, 0)
        while data := os.pread(self._descriptor, 1024 * 1024, self.offset):
            self._digest.update(data)
            self.offset += len(data)
        self._resumed = self.offset > 0

    def _begin_again(self) -> None:
        os.ftruncate(self._descriptor, 0)
        self.offset = 0
        self._resume()

    def _same(self) -> Path | None:
        """Return the file of this name and this very content, if it is here already."""
        number = 1
        while os.path.lexists(path := self._folder / numbered(self._name, number)):
            if self._is_same(path):
                return path
            number += 1
        return None

    def _is_same(self, path: Path) -> bool:
        if path.is_symlink() or not path.is_file() or path.stat().st_size != self._size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self._sha256

    def _link(self) -> Path:
        """Link the file under the first name that is free or holds the same content."""
        number = 0
        while True:
            number += 1
            target = self._folder / numbered(self._name, number)
            try:
                os.link(self._partial, target)
            except FileExistsError:
                if self._is_same(target):
                    return target
            else:
                return target

    def _forget(self) -> None:
        self._partial.unlink(missing_ok=True)

    def _failed(self, reason: object) -> DropFailed:
        if isinstance(reason, OSError):
            full = reason.errno in DISK_FULL
            reason = "its disk is full; free some space there, and send it again" if full else reason.strerror or reason
        return DropFailed(name=self._name, host="this host", reason=reason)


def sweep(inbox: Path) -> int:
    """Remove what interrupted drops left so long ago that nobody goes on with it; returns how many were removed."""
    before, removed = time.time() - KEPT_SECONDS, 0
    for partial in inbox.glob("*/" + _PART.format("*")):
        try:
            if partial.lstat().st_mtime < before:
                partial.unlink()
                removed += 1
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
    return removed
