"""What commands ask of the agent about jobs, as they hand it over. Pure."""

from typing import Any

import msgspec

from agentmesh.core.broker import Settings
from agentmesh.core.chain import Entry
from agentmesh.core.event import Event, EventType
from agentmesh.core.job import LONGEST_TITLE, Job
from agentmesh.core.model import Receipt


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is to be handed to somebody."""

    to: str
    brief: str
    title: str = ""
    files: tuple[str, ...] = ()
    """Paths, as the command's folder has them."""
    seconds: int = 0
    """After which the job expires; 0: never."""
    is_signed: bool = True
    retry_of: str = ""
    broker: Settings | None = None
    """The MQTT broker that its events are mirrored to, and no other."""

    def __post_init__(self) -> None:
        if len(self.title) > LONGEST_TITLE:
            raise ValueError(f"a title has at most {LONGEST_TITLE} characters")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a worker reports."""

    job: str
    type: EventType
    content: dict[str, Any]
    """What the event's body says."""


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """A question for a job and what has happened to it."""

    job: str
    beyond: int = 0
    """How many of its events are known already."""
    patience: int = 0
    """Seconds that the answer may wait for more."""


class Overheard(msgspec.Struct, frozen=True, kw_only=True):
    """What is heard over MQTT of a job whose home can't be reached."""

    broker: str
    """Where it is heard."""
    event: Event | None = None
    """A genuine event, whether its home accepts it or not; None: from now on it is listened."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A job, and what has happened to it beyond what was known."""

    job: Job
    entries: tuple[Entry, ...]
    dropped: tuple[str, ...] = ()
    """Why events were not accepted, oldest first; only its home knows."""
    briefs: tuple[Receipt, ...] = ()
    """How far its brief got with each of those that it is for; only its home knows."""
