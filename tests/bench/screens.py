"""How the recorded screens are judged, by program: nothing unsafe may be typed into, and what waits must be found."""

from collections.abc import Iterator
from dataclasses import dataclass

from agentmesh.core.readiness import Action, TtyFacts, action_for, assess
from tests.screens import recordings

LEAST_READY = 0.99
"""The part of the screens that are ready that must be judged so."""
_KEYS = TtyFacts(
    canonical=False, echo=False, unread=0, programs=("x",), shell_in_front=False, alone=False, reading=False
)
"""What the kernel says of a program that reads keys, where a recording doesn't tell."""
_ROW = "{:<46} {:>9} {:>9} {:>9} {:>8} {:>8}  {}"


@dataclass(frozen=True, slots=True)
class Judged:
    """How the recordings of one program, or of all others, are judged."""

    program: str
    recordings: int
    unsafe: int
    unsafe_ready: int
    ready: int
    ready_ready: int

    @property
    def is_reached(self) -> bool:
        """Whether no unsafe screen is typed into, and nearly all that wait are."""
        return self.unsafe_ready == 0 and self.ready_ready >= LEAST_READY * self.ready


def judged() -> Iterator[Judged]:
    """Judge every recording, program by program."""
    for program in recordings.BOXED:
        yield _judge(program, [name for name in recordings.names() if recordings.program_of(name) == program])
    others = [name for name in recordings.names() if not recordings.state_of(name) and recordings.tty(name)]
    yield _judge("shells, REPLs, questions, others", others)


def rows(table: list[Judged]) -> Iterator[str]:
    """Yield the table's lines."""
    yield _ROW.format("recorded screens", "number", "unsafe", "typed in", "ready", "found", "reached")
    for line in table:
        numbers = (line.recordings, line.unsafe, line.unsafe_ready, line.ready, line.ready_ready)
        yield _ROW.format(line.program, *numbers, "yes" if line.is_reached else "NO")
    yield ""


def _judge(program: str, names: list[str]) -> Judged:
    ready = {name for name in names if _waits(name)}
    typed = {name for name in names if _is_typed_into(name)}
    unsafe = set(names) - ready
    return Judged(program, len(names), len(unsafe), len(unsafe & typed), len(ready), len(ready & typed))


def _waits(name: str) -> bool:
    """Tell whether a message may be typed, by what the recording is said to show."""
    state = recordings.state_of(name)
    if not state:
        return name in recordings.READING_LINES
    box = recordings.profile(recordings.program_of(name)).box
    return state in recordings.IDLE or (state in recordings.WORKING and bool(box and box.queues))


def _is_typed_into(name: str) -> bool:
    tty = recordings.tty(name)
    profile = recordings.profile_of(tty) if tty else recordings.profile(recordings.program_of(name))
    readiness = assess(recordings.load(name), tty or _KEYS, profile)
    return action_for(readiness, force=False) in {Action.FILL_BOX, Action.TYPE_LINE}
