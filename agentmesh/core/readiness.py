"""What a pane's state means for a message: ready, and how; or not, and why. Pure.

Every sensor must agree before anything is typed; what is not known is not ready.
"""

import re
from enum import StrEnum

import msgspec

from agentmesh.core.box import BoxReading, BoxState, read_box
from agentmesh.core.model import Profile
from agentmesh.core.screen import PaneFacts, after_cursor, prompt_before_cursor

PERSON_SECONDS = 3.0
"""How long after a key a person counts as being at a pane's keyboard."""


class TtyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel says of a pane's terminal and the programs on it."""

    canonical: bool
    """ICANON: the kernel collects lines."""
    echo: bool
    unread: int
    """Bytes of whole lines that were typed and that no program has read yet (FIONREAD)."""
    programs: tuple[str, ...]
    """Names of the processes in front, and of the scripts they run."""
    shell_in_front: bool
    """The process in front is an interactive shell."""
    alone: bool
    """Nothing stands behind the program in front: what it leaves unread reaches no shell."""
    reading: bool
    """A process in front is known to be waiting in a read of this terminal."""


class Readiness(StrEnum):
    """What a pane is found to be."""

    EMPTY_BOX = "empty input box"
    READS_LINES = "reads lines"
    SHELL = "shell prompt"
    EXITED = "agent has exited"
    NOT_READING = "program that isn't reading"
    BUSY = "busy"
    QUEUES = "busy, and takes messages for later"
    TYPING = "somebody is typing"
    PANEL = "panel in front"
    DRAFT = "half-typed text"
    DIALOG = "question or dialog"
    PASSWORD = "password prompt"  # noqa: S105 (it names a prompt)
    REPL = "REPL prompt"
    MODE = "copy mode"
    SYNCHRONIZED = "synchronized panes"
    INPUT_OFF = "input switched off"
    DENIED = "closed to messages"
    DEAD = "dead pane"
    REPLACED = "another process"
    UNKNOWN = "unknown screen"


class Action(StrEnum):
    """What is done with a message for a pane in some readiness."""

    FILL_BOX = "fill the input box"
    TYPE_LINE = "type a line"
    DISPLAY = "display"
    LEAVE_MODE = "leave the mode and look again"
    DISMISS = "close the panel and look again"
    REFUSE = "refuse"
    DENY = "deny"
    FAIL = "fail"


ACTIONS: dict[Readiness, tuple[Action, Action]] = {
    Readiness.EMPTY_BOX: (Action.FILL_BOX, Action.FILL_BOX),
    Readiness.READS_LINES: (Action.TYPE_LINE, Action.TYPE_LINE),
    Readiness.SHELL: (Action.DISPLAY, Action.TYPE_LINE),
    Readiness.EXITED: (Action.REFUSE, Action.DISPLAY),
    Readiness.NOT_READING: (Action.REFUSE, Action.TYPE_LINE),
    Readiness.BUSY: (Action.REFUSE, Action.FILL_BOX),
    Readiness.QUEUES: (Action.FILL_BOX, Action.FILL_BOX),
    Readiness.TYPING: (Action.REFUSE, Action.REFUSE),
    Readiness.PANEL: (Action.DISMISS, Action.DISMISS),
    Readiness.DRAFT: (Action.REFUSE, Action.FILL_BOX),
    Readiness.DIALOG: (Action.REFUSE, Action.REFUSE),
    Readiness.PASSWORD: (Action.REFUSE, Action.REFUSE),
    Readiness.REPL: (Action.REFUSE, Action.TYPE_LINE),
    Readiness.MODE: (Action.REFUSE, Action.LEAVE_MODE),
    Readiness.SYNCHRONIZED: (Action.REFUSE, Action.REFUSE),
    Readiness.INPUT_OFF: (Action.REFUSE, Action.REFUSE),
    Readiness.DENIED: (Action.DENY, Action.DENY),
    Readiness.DEAD: (Action.FAIL, Action.FAIL),
    Readiness.REPLACED: (Action.FAIL, Action.FAIL),
    Readiness.UNKNOWN: (Action.REFUSE, Action.TYPE_LINE),
}
"""What is done in each readiness: plainly, and with ``--force``."""

ADVICE: dict[Readiness, str] = {
    Readiness.EXITED: "The agent in it has exited and a shell is in front. Start it again, or show the message with"
    " --force.",
    Readiness.NOT_READING: "The program in front of its shell isn't reading; what is typed now would reach the shell"
    " later. Wait until it ends, or type it all the same with --force.",
    Readiness.BUSY: "Its program is working. Try again when it is done.",
    Readiness.TYPING: "Somebody is at the keyboard there. Try again in a moment.",
    Readiness.PANEL: "A panel covers its input box. Close it with Escape.",
    Readiness.DRAFT: "Somebody has typed something there. Nothing was added to it; try again when it is gone.",
    Readiness.DIALOG: "It asks a question that only a person answers.",
    Readiness.PASSWORD: "It waits for a password; a message is never typed there.",
    Readiness.REPL: "It would be run as code.",
    Readiness.MODE: "Somebody is reading its history. Try again later, or leave that mode with --force.",
    Readiness.SYNCHRONIZED: "What is typed there goes to all panes of its window."
    " Switch that off: tmux set-option -w synchronize-panes off",
    Readiness.INPUT_OFF: "Its input is switched off. Switch it on: tmux select-pane -e",
    Readiness.DENIED: "Its owner has set @agent-deny.",
    Readiness.DEAD: "Its program has ended. Start it again: tmux respawn-pane",
    Readiness.REPLACED: "Another process has taken this pane since it was registered. Try again.",
    Readiness.UNKNOWN: "What it shows is not a known, empty input box. Look at the pane.",
}
"""What the sender is told of a pane that is not ready."""

_QUESTION = re.compile(
    r"\?\s*$|(?:^|\s)\[[^\]]*\]\s*:?\s*$|(?:^|\s)\([^)]*\)\s*:?\s*$|\(y\)|\byes\b|\by/n\b"
    r"|continue|overwrite|proceed|confirm|choice|choose|select|\benter\b|press |--more--"
    r"|passw|passphrase|secret|token|\bcode\b|\botp\b|\bpin\b|login|\buser(?:\s?name)?:",
    re.IGNORECASE,
)
_NEUTRAL_PROMPT = re.compile(r"(?:^|\S)\s?[:>»❯›$%#=\]]\s*$")


def action_for(readiness: Readiness, *, force: bool) -> Action:
    """Return what is done with a message for a pane in this readiness.

    >>> action_for(Readiness.DIALOG, force=True).value
    'refuse'
    """
    return ACTIONS[readiness][force]


def assess(facts: PaneFacts, tty: TtyFacts | None, profile: Profile | None, registered: str = "") -> Readiness:
    """Say what a pane is, from tmux's facts, the kernel's, and the profile of the program in front.

    ``tty`` is None where the kernel could not be asked; ``registered`` names the agent program last seen there.
    """
    if flagged := _flagged(facts):
        return flagged
    if tty is None:
        return Readiness.UNKNOWN
    readiness = _program(facts, tty, profile, registered)
    is_typed_into = action_for(readiness, force=False) in {Action.FILL_BOX, Action.TYPE_LINE}
    if is_typed_into and facts.typed and facts.time - facts.typed < PERSON_SECONDS:
        return Readiness.TYPING
    return readiness


def _program(facts: PaneFacts, tty: TtyFacts, profile: Profile | None, registered: str) -> Readiness:
    kind = profile.kind if profile else ""
    if tty.canonical and not tty.echo:
        return Readiness.PASSWORD
    if tty.shell_in_front and not tty.canonical:
        return _shell(facts, tty, registered)
    if kind == "repl":
        return Readiness.REPL
    if tty.canonical:
        # A program with an input box that reads lines has not drawn it yet, or works; what is typed now is lost or
        # cut into lines.
        return Readiness.BUSY if kind == "box" else _line_reader(facts, tty)
    return _box(read_box(facts, profile), profile) if profile else Readiness.UNKNOWN


def _box(reading: BoxReading, profile: Profile) -> Readiness:
    match reading.state:
        case BoxState.EMPTY if reading.busy:
            return Readiness.QUEUES if profile.box and profile.box.queues else Readiness.BUSY
        case BoxState.EMPTY:
            return Readiness.EMPTY_BOX
        case BoxState.FILLED:
            return Readiness.DRAFT
        case BoxState.BLOCKED:
            return Readiness.DIALOG
        case BoxState.COVERED:
            return Readiness.PANEL
        case BoxState.ABSENT:
            return Readiness.BUSY if reading.busy else Readiness.UNKNOWN


def _flagged(facts: PaneFacts) -> Readiness | None:
    if facts.dead:
        return Readiness.DEAD
    if facts.denied:
        return Readiness.DENIED
    if facts.in_mode:
        return Readiness.MODE
    if facts.synchronized:
        return Readiness.SYNCHRONIZED
    if facts.input_off:
        return Readiness.INPUT_OFF
    return None


def _line_reader(facts: PaneFacts, tty: TtyFacts) -> Readiness:
    """Judge a program that reads whole lines: ready unless it asks, holds half a line, or leaves it to a shell."""
    prompt = prompt_before_cursor(facts)
    if facts.alternate or after_cursor(facts).strip():
        return Readiness.UNKNOWN
    if _QUESTION.search(prompt):
        return Readiness.DIALOG
    if prompt.strip() and not _NEUTRAL_PROMPT.search(prompt):
        return Readiness.DRAFT
    if tty.reading or (tty.alone and not tty.shell_in_front):
        return Readiness.READS_LINES
    return Readiness.NOT_READING


def _shell(facts: PaneFacts, tty: TtyFacts, registered: str) -> Readiness:
    if tty.echo:
        return Readiness.DIALOG  # `read -n1`: a single key answers it
    if facts.alternate:
        return Readiness.UNKNOWN
    if facts.shell_is_agent:
        return Readiness.READS_LINES
    return Readiness.EXITED if registered else Readiness.SHELL
