"""The life of a job, as a table, and what its events make of it. Pure.

::

    registered ──▶ claimed ──▶ started ──▶ completed
        │             │           │  ▲ progress
        └─────────────┴───────────┴──┴▶ error, cancelled, expired

The last four are ends: whatever is reported after them changes nothing, and is noted. Who reports first has claimed the
job, be it by a claim or by a later step. ``lost``, that its worker is gone, or that nobody could be told, leaves a job
where it is.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from agentmesh.core.event import Event, EventType, JobId, content
from agentmesh.core.identity import Identity
from agentmesh.core.model import HERE, Origin, UnixTime
from agentmesh.errors import BadEvent


class JobState(StrEnum):
    """How far a job is."""

    REGISTERED = "registered"
    CLAIMED = "claimed"
    STARTED = "started"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


TRANSITIONS: Mapping[tuple[JobState, EventType], JobState] = {
    (JobState.REGISTERED, EventType.CLAIMED): JobState.CLAIMED,
    (JobState.REGISTERED, EventType.STARTED): JobState.STARTED,
    (JobState.REGISTERED, EventType.PROGRESS): JobState.STARTED,
    (JobState.REGISTERED, EventType.COMPLETED): JobState.COMPLETED,
    (JobState.REGISTERED, EventType.ERROR): JobState.ERROR,
    (JobState.REGISTERED, EventType.CANCELLED): JobState.CANCELLED,
    (JobState.REGISTERED, EventType.EXPIRED): JobState.EXPIRED,
    (JobState.REGISTERED, EventType.LOST): JobState.REGISTERED,
    (JobState.CLAIMED, EventType.STARTED): JobState.STARTED,
    (JobState.CLAIMED, EventType.PROGRESS): JobState.STARTED,
    (JobState.CLAIMED, EventType.COMPLETED): JobState.COMPLETED,
    (JobState.CLAIMED, EventType.ERROR): JobState.ERROR,
    (JobState.CLAIMED, EventType.CANCELLED): JobState.CANCELLED,
    (JobState.CLAIMED, EventType.EXPIRED): JobState.EXPIRED,
    (JobState.CLAIMED, EventType.LOST): JobState.CLAIMED,
    (JobState.STARTED, EventType.PROGRESS): JobState.STARTED,
    (JobState.STARTED, EventType.COMPLETED): JobState.COMPLETED,
    (JobState.STARTED, EventType.ERROR): JobState.ERROR,
    (JobState.STARTED, EventType.CANCELLED): JobState.CANCELLED,
    (JobState.STARTED, EventType.EXPIRED): JobState.EXPIRED,
    (JobState.STARTED, EventType.LOST): JobState.STARTED,
}

EXIT_CODES: Mapping[JobState, int] = {
    JobState.COMPLETED: 0,
    JobState.ERROR: 8,
    JobState.CANCELLED: 9,
    JobState.EXPIRED: 10,
}
"""What `agentmesh job wait` exits with, by the state a job ended in; these states are the ends."""
OF_THE_CLAIMER = frozenset({EventType.STARTED, EventType.PROGRESS, EventType.COMPLETED, EventType.ERROR})
"""What only who has claimed the job reports."""
OF_THE_HOME = frozenset({EventType.REGISTERED, EventType.CANCELLED, EventType.EXPIRED, EventType.LOST})
"""What only the job's home says, by itself or when it is asked to; but that a worker is gone, its own host may say."""
HOST_IDENTITIES = frozenset(identity.value for identity in Identity)
"""How it is known of what comes over links who sent it."""
LONGEST_TITLE = 200
"""Characters."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was handed to somebody, as its home knows it. Without its token: that is nobody's to read."""

    id: JobId
    home: str
    """The host that it was submitted on, which alone decides what is true of it."""
    submitter: str
    to: str
    """Whom it is for, as the submitter wrote it: an address, or what names several."""
    hosts: tuple[str, ...]
    """The hosts of those it was for: they alone are told its token."""
    title: str
    brief: str
    created: UnixTime
    expires: UnixTime = 0
    """When it ends by itself, Unix seconds by its home's clock; 0: never."""
    is_signed: bool = True
    """Whether its events must be signed with its token."""
    retry_of: str = ""
    """The job that this one repeats."""
    is_personal: bool = False
    """Whether the pane that it is for alone may report on it."""
    state: JobState = JobState.REGISTERED
    worker: str = ""
    """Who has claimed it: the emitter of its first report."""
    worker_host: str = ""
    """The host that told of that; empty for a worker outside of the mesh."""
    files: tuple[str, ...] = ()
    """What was sent along, by the paths on its home."""
    percent: int | None = None
    message: str = ""
    """What was reported last."""
    lost: str = ""
    """Why the worker is held for gone, or why nobody was told; empty while there is somebody, or may be."""
    updated: UnixTime = 0
    """When its home accepted the last event, by the home's clock."""


def is_end(state: JobState) -> bool:
    """Tell whether nothing can happen to a job any more."""
    return state in EXIT_CODES


def after(job: Job, event: Event, now: int, origin: Origin = HERE) -> Job:
    """Return the job after a genuine event, accepted at a moment. Raises BadEvent when it can't come now, or so."""
    if origin != HERE and event.type in OF_THE_HOME and (event.type, event.sender) != (EventType.LOST, job.worker):
        raise BadEvent(reason=f"only the job's home says {event.type}")
    if origin != HERE and event.sender == job.home:
        raise BadEvent(reason=f"only the job's home is called {job.home}")
    if is_end(job.state):
        raise BadEvent(reason=f"the job has ended already: {job.state}")
    if event.type is EventType.CLAIMED and job.worker:
        raise BadEvent(reason=f"{job.worker} has claimed the job already")
    if event.type in OF_THE_CLAIMER and job.worker not in {"", event.sender}:
        raise BadEvent(reason=f"it is not from {job.worker}, who has claimed the job")
    if event.sender == job.worker and _is_elsewhere(job, origin):
        raise BadEvent(reason=f"{job.worker} has claimed the job on {job.worker_host}, not there")
    if (job.state, event.type) not in TRANSITIONS:
        raise BadEvent(reason=f"a job that is {job.state} can't become {event.type}")
    body = content(event)
    percent = body.get("percent")
    message = body.get("message")
    is_report = event.type in OF_THE_CLAIMER | {EventType.CLAIMED}
    begins = is_report and not job.worker
    return msgspec.structs.replace(
        job,
        state=TRANSITIONS[job.state, event.type],
        worker=event.sender if begins else job.worker,
        worker_host=_mesh_host(job, origin) if begins else job.worker_host,
        percent=percent if isinstance(percent, int) and 0 <= percent <= 100 else job.percent,  # noqa: PLR2004 (per cent)
        message=message if isinstance(message, str) and event.type is not EventType.LOST else job.message,
        lost=str(message or "it is gone") if event.type is EventType.LOST else "" if is_report else job.lost,
        updated=now,
    )


def _mesh_host(job: Job, origin: Origin) -> str:
    """Return the host of the mesh that told of something; empty for what is outside."""
    if origin == HERE:
        return job.home
    return origin.host if origin.identity in HOST_IDENTITIES else ""


def _is_elsewhere(job: Job, origin: Origin) -> bool:
    """Tell whether a host of the mesh speaks for a worker that is on another: who has the token can sign any name."""
    return origin.identity in HOST_IDENTITIES and bool(job.worker_host) and origin.host != job.worker_host


def is_from_its_pane(job: Job, event: Event, origin: Origin) -> bool:
    """Tell whether a genuine event is from the pane that a job is for, by the word of that pane's own host."""
    is_by_a_host = not origin.host or origin.identity in set(Identity)  # and not by a broker of that name
    panes = content(event).get("pane")
    return is_by_a_host and (origin.host or job.home,) == job.hosts and isinstance(panes, list) and job.to in panes


def brief_text(job: Job) -> str:
    """Return what its assignee reads of a job: what to do, and how to say so."""
    title = f"Job: {job.title}" if job.title else "Job"
    lines = [
        f"{title} (from {job.submitter}, id {job.id})",
        job.brief,
        f"Claim it: agentmesh job claim {job.id}",
        f"Report: agentmesh job event {job.id} started | progress --percent N | completed | error --message TEXT",
    ]
    return "\n".join(lines)
