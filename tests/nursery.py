"""Programs of ours, each forked off a process that has imported them all: to start Python anew takes far longer.

Such a program has the words, the environment, the folder, the streams and, if need be, the namespaces of one that was
executed, and ends as that would. A test of a start itself executes the program.
"""

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, NamedTuple, NoReturn, Self

import agentmesh

PROGRAMS = {"agentmesh": "agentmesh.__main__", "notify-pane": "agentmesh.notify"}
"""Modules by the programs whose ``main`` they have."""
_SCRIPTS = Path(sys.executable).parent
_CHECKOUT = Path(__file__).parents[1]
_LOCALE = "C.UTF-8"
_NUMBER = 4
"""Bytes."""
_MOST_DESCRIPTORS = 4096


class Birth(NamedTuple):
    """What a program is to be started with."""

    words: list[str]
    environment: dict[str, str]
    folder: str
    namespaces: int | None = None
    """A process that is in the namespaces; the folder's path is that outside them."""
    is_apart: bool = False
    """Whether it gets a session of its own."""


def is_forked(words: Sequence[str], environment: Mapping[str, str], root: Path = Path("/")) -> bool:
    """Tell whether the nursery can start a program as it would be executed, where files are found below ``root``."""
    is_plain = not any(name.startswith(("PYTHON", "LC_")) for name in environment)
    if words[0] not in PROGRAMS or not is_plain or environment.get("LANG", _LOCALE) != _LOCALE:
        return False
    for folder in environment["PATH"].split(":"):
        if Path(folder) == _SCRIPTS:
            return True
        if os.path.lexists(root / folder.lstrip("/") / words[0]):
            return False
    return False


class Forked:
    """A program that was forked off, with what `subprocess.Popen` has."""

    def __init__(self, birth: Birth, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.args = birth.words
        self.returncode: int | None = None
        self._report = _nursery().fork(birth, [stdin.fileno(), stdout.fileno(), stderr.fileno()])
        self.pid = self._hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.wait()

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raises TimeoutExpired."""
        if self.returncode is None:
            self._report.settimeout(timeout)
            try:
                self.returncode = self._hear()
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._report.close()
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does."""
        self.send_signal(signal.SIGKILL)

    def _hear(self) -> int:
        data = self._report.recv(_NUMBER)
        if not data:
            raise OSError("The nursery is gone.")
        return int.from_bytes(data, "big", signed=True)


def start(
    words: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    stdin: IO[bytes],
    stdout: IO[bytes],
    stderr: IO[bytes],
) -> Forked | subprocess.Popen[bytes]:
    """Start a program; it is forked off when that is the same as to execute it."""
    if is_forked(words, environment):
        return Forked(Birth([*words], {**environment}, str(folder)), stdin, stdout, stderr)
    return subprocess.Popen(words, env=environment, cwd=folder, stdin=stdin, stdout=stdout, stderr=stderr)


def run(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, stdin: bytes = b"", seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, started in the same way."""
    with TemporaryFile() as given, TemporaryFile() as said, TemporaryFile() as complained:
        given.write(stdin)
        given.seek(0)
        program = start(words, environment, folder, given, said, complained)
        try:
            code = program.wait(seconds)
        finally:
            program.kill()
            program.wait()
        said.seek(0)
        complained.seek(0)
        return subprocess.CompletedProcess(words, code, said.read().decode(), complained.read().decode())


class _Nursery:
    """The process, as its parent sees it; it ends with its parent."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery"],
                env={"LANG": _LOCALE, "PATH": os.environ["PATH"]},
                cwd=_CHECKOUT,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self._end)

    def fork(self, birth: Birth, streams: list[int]) -> socket.socket:
        """Have a program started; returns where its process id and, in the end, its exit code are to be read."""
        report, theirs = socket.socketpair()
        body = json.dumps(birth).encode()
        with theirs, self._lock:
            socket.send_fds(self._channel, [len(body).to_bytes(_NUMBER, "big")], [*streams, theirs.fileno()])
            self._channel.sendall(body)
        return report

    def _end(self) -> None:
        self._channel.close()
        self._process.wait()


@functools.cache
def _nursery() -> _Nursery:
    return _Nursery()


class _Nurse:
    """The process, as it sees itself."""

    def __init__(self) -> None:
        self._children: dict[int, socket.socket] = {}
        self._channel = socket.socket(fileno=0)
        self._bell, ringer = socket.socketpair()
        os.set_blocking(ringer.fileno(), False)
        self._own = [self._channel, self._bell, ringer]
        signal.set_wakeup_fd(ringer.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> str:
        """Fork what is asked for, and tell of each end; returns, in a fork alone, the program that it is to be."""
        while True:
            ready, _, _ = select.select([self._channel, self._bell], [], [])
            if self._bell in ready:
                self._bell.recv(4096)
                self._tell_of_ends()
            if self._channel in ready:
                head, descriptors, _, _ = socket.recv_fds(self._channel, _NUMBER, 4)
                if not head:
                    sys.exit()
                *streams, report = descriptors
                body = _read(self._channel, int.from_bytes(head, "big"))
                if program := self._fork(Birth(*json.loads(body)), streams, socket.socket(fileno=report)):
                    return program

    def _fork(self, birth: Birth, streams: Sequence[int], report: socket.socket) -> str:
        folder = os.open(birth.folder, os.O_RDONLY | os.O_DIRECTORY)
        pid = _fork_into(birth.namespaces)
        if pid:
            self._children[pid] = report
            _say(report, pid)
            for descriptor in (*streams, folder):
                os.close(descriptor)
            return ""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if birth.is_apart:
            os.setsid()
        if birth.namespaces is not None:
            _enter(birth.namespaces)
        os.fchdir(folder)
        for each in (*self._own, report, *self._children.values()):
            each.detach()
        for descriptor, stream in enumerate(streams):
            os.dup2(stream, descriptor)
        os.closerange(len(streams), _MOST_DESCRIPTORS)
        os.environ.clear()
        os.environ.update(birth.environment)
        program = birth.words[0]
        sys.modules["__main__"].__package__ = None  # as that of a script: usage lines name the program by it
        sys.argv[:] = [str(_SCRIPTS / program), *birth.words[1:]]
        return program

    def _tell_of_ends(self) -> None:
        for pid, report in list(self._children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                _say(report, os.waitstatus_to_exitcode(status))
                report.close()
                del self._children[pid]


def _say(report: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        report.sendall(number.to_bytes(_NUMBER, "big", signed=True))


def _read(channel: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = channel.recv(length - len(data))
        if not part:
            sys.exit()
        data += part
    return data


def _fork_into(holder: int | None) -> int:
    """Fork; the child is in the pid namespace of a process, if one is given: none can change its own (setns(2))."""
    if holder is None:
        return os.fork()
    _change_namespace(holder, "pid")
    pid = os.fork()
    if pid:
        _change_namespace(os.getpid(), "pid")
    return pid


def _enter(holder: int) -> None:
    """Change to a process's other namespaces; that of mounts is the last, for /proc is another there."""
    for kind in ("net", "uts", "mnt"):
        _change_namespace(holder, kind)


def _change_namespace(holder: int, kind: str) -> None:
    with Path(f"/proc/{holder}/ns/{kind}").open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"The {kind} namespace of process {holder} can't be entered")


def _import_all() -> None:
    """Import what our programs may need, also what they import only when they do."""
    for module in pkgutil.walk_packages(agentmesh.__path__, "agentmesh."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _be(main: Callable[[], None]) -> NoReturn:
    """Run a program to its end as the interpreter does; but that would then take long to clear away what it shares."""
    code: object = None
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 (the interpreter does so, too)
        traceback.print_exc()
        code = 1
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 (what the interpreter calls at its end)
    atexit._run_exitfuncs()  # noqa: SLF001 (the same)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    _import_all()
    gc.collect()
    gc.freeze()
    _be(importlib.import_module(PROGRAMS[_Nurse().serve()]).main)
