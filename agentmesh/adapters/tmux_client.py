"""tmux clients that are started ahead of need, so that a pane's next commands run at once.

Most of what one execution of tmux costs is the start of its process. ``tmux source-file -`` starts, connects, and then
waits for commands on its standard input. Measured with 3.3a: 1.3 ms from commands to answer, instead of 4. As many are
kept as a plain delivery needs, and replaced when it is over: a start beside it would take the time that it saves. A
waiting client keeps a tmux server whose last session has ended, so it is dismissed when it isn't needed soon; when the
agent dies, its input ends and so does it.
"""

import os
import subprocess
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from agentmesh.errors import TmuxFailed

AHEAD = 4
"""How many wait: to look, to paste, to press Enter, and one that is left while others are started."""


class Answer(msgspec.Struct, frozen=True):
    """What tmux printed."""

    output: str
    complaint: str


class _Client:
    """One tmux process, connected to its server and waiting for commands."""

    def __init__(self, program: str, socket: Path) -> None:
        command = [program, "-uN", "-S", os.fspath(socket), "source-file", "-"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)

    @property
    def waits(self) -> bool:
        return self._process.poll() is None

    def tell(self, commands: str) -> None:
        """Hand over all commands; there are no others."""
        if self._process.stdin is None:
            raise TypeError
        try:
            self._process.stdin.write(commands.encode())
            self._process.stdin.close()
        except BrokenPipeError as error:
            self.end()
            raise TmuxFailed(reason="its server has just ended") from error
        self._process.stdin = None

    def answer(self, seconds: float) -> Answer:
        """Wait for the answer. Raises TmuxFailed when it doesn't come."""
        try:
            output, complaint = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            self.end()
            raise TmuxFailed(reason=f"it has not answered for {seconds:g} s") from error
        return Answer(output.decode(errors="replace"), complaint.decode(errors="replace").strip())

    def end(self) -> None:
        """End the process. A server that hangs holds our pipes open: nothing more is read from them."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()


class Clients:
    """The clients for one tmux server. Blocking; for one thread at a time."""

    def __init__(self, program: str, socket: Path) -> None:
        self._program = program
        self._socket = socket
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start-tmux")
        self._waiting: deque[Future[_Client]] = deque()

    def run(self, command: Sequence[str], seconds: float) -> Answer:
        """Run tmux commands, separated by ``;``. Raises TmuxFailed when the server doesn't answer."""
        client = self._take()
        client.tell(" ".join(word if word == ";" else _quoted(word) for word in command) + "\n")
        if not self._waiting:
            self._start()
        return client.answer(seconds)

    def replenish(self) -> None:
        """Let clients be started in place of those that were used."""
        while len(self._waiting) < AHEAD:
            self._start()

    def dismiss(self) -> None:
        """Let no client wait any longer."""
        while self._waiting:
            self._waiting.popleft().result().end()

    def close(self) -> None:
        """Let no client wait any longer, and start no other."""
        self.dismiss()
        self._starter.shutdown(wait=False)

    def _start(self) -> None:
        self._waiting.append(self._starter.submit(_Client, self._program, self._socket))

    def _take(self) -> _Client:
        while self._waiting:
            client = self._waiting.popleft().result()
            if client.waits:
                return client
            client.end()
        return _Client(self._program, self._socket)


def _quoted(word: str) -> str:
    r"""Return a word as tmux's own parser reads it (tmux(1), PARSING SYNTAX).

    >>> _quoted("it's")
    "'it'\\''s'"
    """
    return "'" + word.replace("'", r"'\''") + "'"
