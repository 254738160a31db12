"""tmux clients that are started ahead of need, so that a pane's next commands run at once.

Most of what one execution of tmux costs is the start of its process. ``tmux source-file -`` starts, connects, and then
waits for commands on its standard input: while one client works, the next can start. Measured with 3.3a: 1.3 ms from
commands to answer, instead of 4. A client that nothing was asked of is dismissed after a second; until then it would
keep a tmux server whose last session has ended.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agentmesh.errors import TmuxFailed


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
            raise TmuxFailed(reason="its server has just ended") from error
        finally:
            self._process.stdin = None

    def answer(self, seconds: float) -> Answer:
        """Wait for the answer. Raises TmuxFailed when it doesn't come."""
        try:
            output, complaint = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            self._process.communicate()
            raise TmuxFailed(reason=f"it has not answered for {seconds:g} s") from error
        return Answer(output.decode(errors="replace"), complaint.decode(errors="replace").strip())

    def dismiss(self) -> None:
        """End the process without having asked anything."""
        self._process.kill()
        self._process.communicate()


class Clients:
    """The clients for one tmux server: at most one waits. Blocking; for one thread at a time."""

    def __init__(self, program: str, socket: Path) -> None:
        self._program = program
        self._socket = socket
        self._waiting: _Client | None = None

    def run(self, command: Sequence[str], seconds: float, *, more: bool) -> Answer:
        """Run tmux commands, separated by ``;``; with ``more``, start the next client while this one works.

        Raises TmuxFailed when the server doesn't answer.
        """
        client, self._waiting = self._waiting, None
        if client is None or not client.waits:
            client = _Client(self._program, self._socket)
        client.tell(" ".join(word if word == ";" else _quoted(word) for word in command) + "\n")
        if more:
            self._waiting = _Client(self._program, self._socket)
        return client.answer(seconds)

    def dismiss(self) -> None:
        """Let no client wait any longer."""
        client, self._waiting = self._waiting, None
        if client is not None:
            client.dismiss()


def _quoted(word: str) -> str:
    r"""Return a word as tmux's own parser reads it (tmux(1), PARSING SYNTAX).

    >>> _quoted("it's")
    "'it'\\''s'"
    """
    return "'" + word.replace("'", r"'\''") + "'"
