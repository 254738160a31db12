"""A pane's terminal: ask the kernel about it, and write to it as write(1) does."""

import fcntl
import os
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agentmesh.adapters.process import in_front, is_interactive_shell, is_reading, names
from agentmesh.core.model import Profile
from agentmesh.core.readiness import TtyFacts
from agentmesh.core.screen import PaneFacts
from agentmesh.errors import TmuxFailed

_LFLAG = 3


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    # O_NOCTTY: it must not become ours; O_NONBLOCK: a stopped terminal must not stop us.
    descriptor = os.open(path, flags | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def observe(facts: PaneFacts, profiles: Mapping[str, Profile]) -> TtyFacts | None:
    """Return what the kernel says of a pane's terminal; None when it can't be asked."""
    try:
        with _opened(facts.tty, os.O_RDONLY) as descriptor:
            local = termios.tcgetattr(descriptor)[_LFLAG]
            waiting = _unread(descriptor)
    except (OSError, termios.error):
        return None
    front = in_front(facts.pid)
    if not front:
        return None
    shells = frozenset(name for profile in profiles.values() if profile.kind == "shell" for name in profile.processes)
    return TtyFacts(
        canonical=bool(local & termios.ICANON),
        echo=bool(local & termios.ECHO),
        unread=waiting,
        programs=tuple(dict.fromkeys(name for process in front for name in names(process))),
        shell_in_front=is_interactive_shell(front[0], shells),
        alone=any(process.pid == facts.pid for process in front),
        reading=any(is_reading(process, facts.tty) for process in front),
    )


def unread(path: str) -> int:
    """Return how many bytes of whole lines wait in a terminal, unread (FIONREAD). Raises TmuxFailed."""
    try:
        with _opened(path, os.O_RDONLY) as descriptor:
            return _unread(descriptor)
    except OSError as error:
        raise TmuxFailed(reason=f"{path}: {error}") from error


def write(path: str, text: str) -> None:
    """Write text to a terminal. Raises TmuxFailed, also when somebody has stopped its output (Ctrl-S)."""
    data = text.encode()
    try:
        with _opened(path, os.O_WRONLY) as descriptor:
            written = os.write(descriptor, data)
    except OSError as error:
        raise TmuxFailed(reason=f"{path}: {error}") from error
    if written < len(data):
        raise TmuxFailed(reason=f"{path} took only {written} of {len(data)} bytes")


def _unread(descriptor: int) -> int:
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
    return int.from_bytes(answer, "little")
