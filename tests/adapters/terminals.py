"""A real program on a real pseudo-terminal that is its own, as in a pane."""

import os
import pty
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from agentmesh.core.screen import PaneFacts
from tests.core.screens import line_screen


class Terminal:
    """The near side of a pseudo-terminal, and the program on its far side."""

    def __init__(self, near: int, far: str, process: subprocess.Popen[bytes]) -> None:
        self._near = near
        self.path = far
        self.pid = process.pid
        self.shown = b""

    @property
    def facts(self) -> PaneFacts:
        """What tmux would say of a pane with this terminal."""
        return msgspec.structs.replace(line_screen(""), pid=self.pid, tty=self.path)

    def type(self, text: str) -> None:
        """Type as a person does."""
        os.write(self._near, text.encode())

    def show(self) -> bytes:
        """Return all that was drawn until now."""
        try:
            while part := os.read(self._near, 4096):
                self.shown += part
        except BlockingIOError:
            pass
        return self.shown


@contextmanager
def terminal(*program: str, home: Path, environment: Mapping[str, str] = {}) -> Iterator[Terminal]:
    """Run a program on a terminal of its own, until the block ends."""
    near, far = pty.openpty()
    os.set_blocking(near, False)
    plain = {"HOME": str(home), "PATH": os.environ["PATH"], "PS1": "$ ", "TERM": "dumb", "LANG": "C.UTF-8"}
    command = ["setsid", "--ctty", *program]
    with subprocess.Popen(command, stdin=far, stdout=far, stderr=far, env=plain | {**environment}, cwd=home) as process:
        path = os.ttyname(far)
        os.close(far)
        try:
            yield Terminal(near, path, process)
        finally:
            # Closing a terminal hangs up the program on it, and a shell its jobs. Whoever ignores that is killed.
            os.close(near)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            process.kill()
