"""A program that is kept going in a pane, as its host records it, and its life as a table. Pure.

::

    running ──▶ stopped ◀─────────┐ (by a person; its conversation can be taken up again)
       │  ▲        │              │
       │  └────────┴── resume ────┤
       └──▶ terminated ───────────┘ (by itself, or unseen)
                   └──▶ archived ◀── stopped

Archived is the end: the record is kept, and its name is free. With what its worker has said, `lifecycle` tells more.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Annotated

import msgspec

from agentmesh.core.model import Ordinal, UnixTime
from agentmesh.core.workspace import WorkspaceName
from agentmesh.errors import SessionState

SessionName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,39}\Z")]
"""It also names the tmux session, which takes no dots and colons."""


class Status(StrEnum):
    """How it is with a session."""

    RUNNING = "running"
    STOPPED = "stopped"
    TERMINATED = "terminated"
    ARCHIVED = "archived"


class Step(StrEnum):
    """What happens to a session."""

    STOP = "stop"
    END = "end"
    """Its program has ended, and nobody has stopped it."""
    RESUME = "resume"
    ARCHIVE = "archive"


class Termination(StrEnum):
    """How a program came to its end."""

    NONE = ""
    EXIT_COMMAND = "exit-command"
    """It took its own exit command."""
    SIGNAL = "signal"
    """It took the signal that asks for an end."""
    KILLED = "killed"
    """It, or something that it had started, took none."""
    AUTO_DETECTED = "auto-detected"
    """It was found to be gone."""


TRANSITIONS: Mapping[tuple[Status, Step], Status] = {
    (Status.RUNNING, Step.STOP): Status.STOPPED,
    (Status.RUNNING, Step.END): Status.TERMINATED,
    (Status.STOPPED, Step.RESUME): Status.RUNNING,
    (Status.TERMINATED, Step.RESUME): Status.RUNNING,
    (Status.STOPPED, Step.ARCHIVE): Status.ARCHIVED,
    (Status.TERMINATED, Step.ARCHIVE): Status.ARCHIVED,
}

_REMEDIES = {
    Status.RUNNING: "Stop it with `agentmesh session stop {name}`",
    Status.STOPPED: "Bring it back with `agentmesh session resume {name}`",
    Status.TERMINATED: "Bring it back with `agentmesh session resume {name}`",
    Status.ARCHIVED: "Create a new one of that name",
}


class AgentSession(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of a session. Of several with one name all but the newest are archived."""

    name: SessionName
    host: str
    program: str
    """The name of its profile."""
    cwd: str
    argv: tuple[str, ...]
    """What was started, the program by its path."""
    arguments: tuple[str, ...] = ()
    """Those of them that were given at its creation, after the profile's own; a resume gives them again."""
    signature: str
    """The SHA-256 of ``argv``, its words joined by NUL, in hex."""
    server: str
    """The tmux server's name, as its panes carry it."""
    workspace: WorkspaceName = ""
    """The same, where it and all that it starts are kept on that server."""
    tmux_session: str
    window: str
    """The names of both: its address is made of them, and a resume takes them again."""
    pane: str
    """tmux's pane id."""
    pid: Ordinal
    """0 until its program was seen to be started."""
    started: str
    """When that process began, as its system tells it; no later one of the same number has the same."""
    conversation: str = ""
    """The id of the program's conversation, since it was found on disk."""
    missed: str = ""
    """The conversation of which it has been said that it is gone from disk."""
    status: Status = Status.RUNNING
    last_visible_status: Status = Status.RUNNING
    """What it was when its program was last looked for; archiving looks for nothing."""
    last_visible_note: str = ""
    """What was seen then, as a sentence; empty where there is nothing to say."""
    termination_mode: Termination = Termination.NONE
    stopping: bool = False
    """Whether it was told to stop, and its end hasn't been seen since."""
    role: str = ""
    scope: str = ""
    created: UnixTime
    begun: float
    """When its program was started last, Unix seconds; two that were started one after the other don't share it."""
    ready: float = 0.0
    """When its program was first seen to take input since then; 0: never."""
    reported: UnixTime = 0
    """When its worker last said that it may be closed, or completed a job, since its program was started; 0: never."""
    purged: str = ""
    """The conversation whose files were removed on purpose: it begins anew when it is brought back."""
    acted: UnixTime
    """When a person last changed it."""
    updated: UnixTime


def after(session: AgentSession, step: Step, now: int, **facts: object) -> AgentSession:
    """Return a session after a step, with what else is known since. Raises SessionState where it can't come now."""
    try:
        status = TRANSITIONS[session.status, step]
    except KeyError:
        remedy = _REMEDIES[session.status].format(name=session.name)
        raise SessionState(name=session.name, status=session.status, remedy=remedy) from None
    changed: dict[str, object] = {"status": status, "updated": now}
    if step is not Step.END:
        changed["acted"] = now
    if step is Step.RESUME:
        changed |= {"reported": 0, "purged": ""}
    if step is not Step.ARCHIVE:
        changed["last_visible_status"] = status
    return msgspec.structs.replace(session, **(changed | facts))


def is_resumable(session: AgentSession) -> bool:
    """Tell whether a session can be brought back."""
    return (session.status, Step.RESUME) in TRANSITIONS


def is_session_name(text: str) -> bool:
    """Tell whether a session can have that name.

    >>> is_session_name("rev-1"), is_session_name("$(reboot)")
    (True, False)
    """
    try:
        msgspec.convert(text, SessionName)
    except msgspec.ValidationError:
        return False
    return True


def lifecycle(session: AgentSession) -> str:
    """Return how far a worker is, between its start and its archive.

    One that runs is ``working`` or, after its report, ``ready-to-close``; one that was stopped after its report is
    ``closed``; otherwise it is what its status says.
    """
    if session.status is Status.RUNNING:
        return "ready-to-close" if session.reported else "working"
    return "closed" if session.status is Status.STOPPED and session.reported else str(session.status)


def signature(argv: Iterable[str]) -> str:
    """Return the SHA-256 of a command line."""
    return sha256("\0".join(argv).encode(errors="surrogateescape")).hexdigest()
