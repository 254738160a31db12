"""Files: replace one atomically, write slices as TOML, receive drops."""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import tomlkit

from agentmesh.core.drop import numbered
from agentmesh.core.model import Pane, Slice
from agentmesh.errors import BadFile, DropFailed

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def make_private_folder(folder: Path) -> None:
    """Make a folder that nobody else can enter; one that exists is closed to others."""
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    folder.chmod(PRIVATE_FOLDER)


def replace(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> None:
    """Put content at a path: a reader sees the old file or the new one, whole. The same content isn't rewritten."""
    try:
        if path.read_bytes() == content and path.stat().st_mode & 0o777 == mode:
            return
    except FileNotFoundError:
        pass
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (it takes over the descriptor)
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a file's lock against other processes. Raises BlockingIOError at once when ``wait`` is False."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def render_slices(slices: Iterable[Slice], states: Mapping[str, str]) -> bytes:
    """Return slices as the TOML that people and scripts read; ``states`` says how each host stands."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Written by agentmesh; changes are overwritten."))
    hosts, agents = tomlkit.table(is_super_table=True), tomlkit.table(is_super_table=True)
    for part in sorted(slices, key=lambda part: part.host):
        host = tomlkit.table()
        host.add("version", f"{part.version.epoch}.{part.version.counter}.{part.version.digest}")
        host.add("time", datetime.fromtimestamp(part.time, UTC))
        host.add("state", states.get(part.host, ""))
        hosts.add(part.host, host)
        for pane in part.panes:
            if pane.address not in agents:  # two hosts may claim one; the file must stay readable
                agents.add(pane.address, _render_pane(pane))
    document.add("slices", hosts)
    document.add("agents", agents)
    return tomlkit.dumps(document).encode()


def _render_pane(pane: Pane) -> tomlkit.items.Table:
    table = tomlkit.table()
    for name in ("host", "target", "session", "window", "role", "scope", "pane", "command", "cwd", "program"):
        table.add(name, getattr(pane, name))
    if pane.handle:
        table.add("handle", pane.handle)
    if pane.server != "default":
        table.add("server", pane.server)
    if pane.formerly:
        table.add("formerly", list(pane.formerly))
    return table


class Outgoing:
    """A file to be dropped elsewhere, opened once, so that what was measured is what is sent."""

    def __init__(self, path: Path) -> None:
        """Open and measure a file. Raises BadFile."""
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise BadFile(path=path, reason="it isn't a regular file; pack a folder first, with tar")
            self._file = path.open("rb")
        except OSError as error:
            raise BadFile(path=path, reason=error.strerror or error) from error
        self.name = os.fsencode(path.name).decode(errors="replace")
        self.sha256 = hashlib.file_digest(self._file, "sha256").hexdigest()
        self.size = self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes from an offset on, never beyond what was measured."""
        return os.pread(self._file.fileno(), min(size, self.size - offset), offset)


class Incoming:
    """A file that is being dropped here: hidden and partial until all of it has come and its digest is right."""

    def __init__(self, folder: Path, name: str, size: int, sha256: str, largest: int) -> None:
        """Make ready for a file under a safe name. Raises DropFailed."""
        self._folder, self._name, self._size, self._sha256 = folder, name, size, sha256
        if size > largest:
            raise DropFailed(
                name=name, host="this host", reason=f"it has {size:,} bytes; at most {largest:,} are taken"
            )
        try:
            make_private_folder(folder)
            self._partial = folder / f".{sha256[:32]}.part"
            self._descriptor = os.open(self._partial, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        except OSError as error:
            raise self._failed(error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.offset = min(os.fstat(self._descriptor).st_size, size)
            free = shutil.disk_usage(folder).free
        except OSError as error:
            os.close(self._descriptor)
            raise self._failed(
                "it is being received already" if isinstance(error, BlockingIOError) else error
            ) from error
        if free < size - self.offset:
            os.close(self._descriptor)
            raise self._failed(f"only {free:,} bytes are free")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write(self, data: bytes) -> None:
        """Add the next bytes. Raises DropFailed."""
        if self.offset + len(data) > self._size:
            raise self._failed("more bytes came than were announced")
        try:
            written = os.pwrite(self._descriptor, data, self.offset)
        except OSError as error:
            raise self._failed(error) from error
        self.offset += written

    def finish(self) -> Path:
        """Check the digest, make the file durable, and give it its name. Raises DropFailed."""
        with open(os.dup(self._descriptor), "rb") as whole:  # noqa: PTH123 (it takes over the descriptor)
            whole.seek(0)
            found = hashlib.file_digest(whole, "sha256").hexdigest()
        if self.offset != self._size or found != self._sha256:
            self._partial.unlink()
            raise self._failed("what came is not what was announced; send it again")
        try:
            os.fsync(self._descriptor)
            target = self._place()
            self._partial.unlink()
            sync_folder(self._folder)
        except OSError as error:
            raise self._failed(error) from error
        return target

    def _place(self) -> Path:
        """Link the file under the first name that is free or holds the same content."""
        number = 0
        while True:
            number += 1
            target = self._folder / numbered(self._name, number)
            try:
                os.link(self._partial, target)
            except FileExistsError:
                if target.is_file() and target.stat().st_size == self._size and _digest(target) == self._sha256:
                    return target
            else:
                return target

    def _failed(self, reason: object) -> DropFailed:
        return DropFailed(name=self._name, host="this host", reason=reason)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shown_path(path: Path) -> str:
    """Return a path as a person writes it, with ``~`` for the home.

    >>> shown_path(Path("/elsewhere/file"))
    '/elsewhere/file'
    """
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
