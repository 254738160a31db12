"""Linux namespaces that live as long as a pipe is held open, and programs in them. Knows nothing of networks or ssh."""

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

PATIENCE = 10.0
"""Seconds within which the kernel and a local daemon do anything that they will do at all."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SCAFFOLD = Path("/dev/shm")  # noqa: S108 - exists everywhere, and nothing that must stay visible lies in it


class Namespaces:
    """A set of new namespaces, and the process that holds them.

    The holder reads a pipe and ends with it: `close` ends what lives inside, and so does any death of the process
    which made it. Where the kinds include `pid`, the holder is their process 1: when it goes, the kernel kills the
    others before it reports the end (pid_namespaces(7)).

    `preparation` is lines of shell, run inside before anything else; an OSError carries what they said when one failed.
    """

    def __init__(self, kinds: Sequence[str], preparation: Iterable[str] = ()) -> None:
        self._kinds = [f"--{kind}" for kind in kinds]
        # The pid is read first, while /proc is still that of the outside. Process 1 ignores SIGCHLD, so that the
        # orphans it adopts leave no zombies.
        script = [
            "set -eu",
            "read -r pid rest </proc/self/stat",
            *preparation,
            "echo $pid",
            "exec env --ignore-signal=CHLD cat",
        ]
        self._holder = subprocess.Popen(
            ["unshare", *self._kinds, "--fork", "--kill-child", "sh", "-c", "\n".join(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": SYSTEM_PATH},
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        announced = self._holder.stdout.readline()
        if not announced:
            raise OSError("The namespaces could not be made: " + self._holder.communicate()[1].strip())
        self.pid = int(announced)

    def command(self, argv: Sequence[str], directory: Path | None = None) -> list[str]:
        """Return the argv which runs `argv` inside, in a working directory that is named by its path outside."""
        place = [] if directory is None else [f"--wd={directory}"]
        return ["nsenter", f"--target={self.pid}", *self._kinds, *place, "--", *argv]

    def outside(self, path: Path) -> Path:
        """Return the path by which this process finds what is `path` inside; absolute symbolic links lead astray."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")

    def close(self) -> None:
        """End the namespaces, and return when they have ended."""
        self._holder.communicate(timeout=PATIENCE)


def covered(folder: Path, mode: str, visible: Iterable[Path]) -> Iterator[str]:
    """Yield the shell lines that put an empty private folder over `folder`; `visible` can still be seen, read-only.

    They need mount(8) to leave its table in /run alone (-n): that one is the machine's.

    >>> print(*covered(Path("/home"), "755", [Path("/home/me/.venv"), Path("/usr")]), sep=chr(10))
    mount -n -t tmpfs -o mode=755 private /dev/shm
    mkdir -p /dev/shm/me/.venv
    mount -n --rbind /home/me/.venv /dev/shm/me/.venv
    mount -n -o remount,bind,ro /dev/shm/me/.venv
    mount -n --move /dev/shm /home
    """
    yield shlex.join(["mount", "-n", "-t", "tmpfs", "-o", f"mode={mode}", "private", str(_SCAFFOLD)])
    for path in visible:
        if folder in path.parents:
            place = str(_SCAFFOLD / path.relative_to(folder))
            yield shlex.join(["mkdir", "-p", place])
            yield shlex.join(["mount", "-n", "--rbind", str(path), place])
            yield shlex.join(["mount", "-n", "-o", "remount,bind,ro", place])
    if folder != _SCAFFOLD:
        yield shlex.join(["mount", "-n", "--move", str(_SCAFFOLD), str(folder)])


class Program(subprocess.Popen[bytes]):
    """A program in pid namespaces, started by an argv of `Namespaces.command`; `output` is the file of what it says.

    The child of this process is nsenter, which waits for the program and ends as it ends; signals reach the program
    itself. It writes to files and not to pipes, so that a daemon it leaves behind keeps nobody waiting. It has no
    terminal, so that nothing can stop to ask.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        output: Path,
        errors: Path | None = None,
        stdin: str = "",
    ) -> None:
        self.output = output
        with tempfile.TemporaryFile() as given, output.open("ab") as said, (errors or output).open("ab") as complained:
            given.write(stdin.encode())
            given.seek(0)
            super().__init__(argv, env=environment, stdin=given, stdout=said, stderr=complained, start_new_session=True)

    def send_signal(self, sig: int) -> None:
        wait_until(lambda: self.poll() is not None or bool(self._inside()), "nsenter starts its program")
        for pid in self._inside():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        # nsenter stops itself when it sees the program stopped, and must be continued to see anything more.
        if sig == signal.SIGSTOP:
            wait_until(lambda: self.poll() is not None or self._is_stopped(), "nsenter stops with its program")
        elif sig in {signal.SIGCONT, signal.SIGKILL}:
            super().send_signal(signal.SIGCONT)

    def _inside(self) -> list[int]:
        """Return the program's pid; nothing before nsenter has become the program, or after it ended."""
        if self.poll() is not None:
            return []
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() != "nsenter\n"]
        return []

    def _is_stopped(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_until(condition: Callable[[], bool], hope: str) -> None:
    """Return when the condition holds; raise TimeoutError with the hope if that takes longer than `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {PATIENCE} s in vain until {hope}.")
        time.sleep(0.002)
