"""What is reported of a job: events, their canonical form, and their signatures. Pure. EVENTS.md describes them.

A body is kept as the text of JSON that its emitter wrote: that is what is signed, and nobody parses it before the
signature is known to be right.
"""

import hmac
import json
import re
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any

import msgspec

from agentmesh.errors import BadEvent

JOB_ID = r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,254}-[0-9a-f]{16}\Z"
JobId = Annotated[str, msgspec.Meta(pattern=JOB_ID)]
"""The alias of the job's home, and random digits. It names a folder and an MQTT topic."""
Token = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""The job's secret: 32 random bytes."""
LAST_SEQ = 2**63 - 1
"""What SQLite, and most languages, hold exactly."""
LONGEST_BODY = 64 * 1024
"""Bytes."""


class EventType(StrEnum):
    """What an event says."""

    REGISTERED = "registered"
    CLAIMED = "claimed"
    STARTED = "started"
    PROGRESS = "progress"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOST = "lost"
    """Who has claimed the job is gone: its pane, or the program in it; or its brief reached nobody."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a job, as its emitter tells of it."""

    job: JobId
    seq: Annotated[int, msgspec.Meta(ge=1, le=LAST_SEQ)]
    """Higher than that of each earlier event of the same emitter for this job."""
    type: EventType
    time: Annotated[int, msgspec.Meta(ge=0, le=LAST_SEQ)]
    """Unix seconds by the emitter's clock. Advisory: nothing is decided by it."""
    sender: Annotated[str, msgspec.Meta(min_length=1, max_length=400)] = msgspec.field(name="from")
    """The emitter: an address, or whatever a worker outside of the mesh calls itself."""
    body: str = "{}"
    """The text of a JSON object."""
    hmac_sig: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")] = ""
    """Empty where nobody signed it."""

    def __post_init__(self) -> None:
        if len(self.body.encode(errors="replace")) > LONGEST_BODY:
            raise ValueError(f"its body is longer than {LONGEST_BODY:,} bytes")


def is_job_id(text: str) -> bool:
    """Tell whether a text could be a job's whole id.

    >>> is_job_id("worker-1-00112233aabbccdd"), is_job_id("ccdd")
    (True, False)
    """
    return re.fullmatch(JOB_ID, text) is not None


def home_of(job: str) -> str:
    """Return the alias of a job's home.

    >>> home_of("worker-1-00112233aabbccdd")
    'worker-1'
    """
    return job.rpartition("-")[0]


def new_event(job: str, seq: int, kind: EventType, sender: str, body: str, now_us: int) -> Event:
    """Return an event that is made now, by a clock's microseconds. Raises BadEvent when there can be none."""
    if seq > LAST_SEQ:
        raise BadEvent(reason=f"{sender} has used the last seq for this job; report under another name")
    try:
        return Event(job=job, seq=seq, type=kind, time=now_us // 1_000_000, sender=sender, body=body)
    except ValueError as error:
        raise BadEvent(reason=str(error)) from error


def canonical(event: Event) -> bytes:
    r"""Return what is signed of an event: a line that names the form, and its fields as netstrings.

    >>> event = Event(job="hub-00112233aabbccdd", seq=7, type=EventType.STARTED, time=1800000000, sender="me")
    >>> canonical(event)
    b'agentmesh event 1\n20:hub-00112233aabbccdd,1:7,7:started,10:1800000000,2:me,2:{},'
    """
    fields = (event.job, str(event.seq), event.type.value, str(event.time), event.sender, event.body)
    return b"agentmesh event 1\n" + b"".join(_netstring(field.encode()) for field in fields)


def signature(event: Event, token: str) -> str:
    """Return the signature of an event: HMAC-SHA256 of its canonical form, keyed by the token's 32 bytes, as hex."""
    return hmac.new(bytes.fromhex(token), canonical(event), sha256).hexdigest()


def signed(event: Event, token: str) -> Event:
    """Return the event with its signature; without a token as it is."""
    return msgspec.structs.replace(event, hmac_sig=signature(event, token)) if token else event


def is_genuine(event: Event, token: str) -> bool:
    """Tell whether who holds the token has signed this event. Takes as long for every wrong signature."""
    return hmac.compare_digest(signature(event, token), event.hmac_sig)


def decode(text: bytes | str) -> Event:
    """Return an event from its JSON. Raises BadEvent."""
    try:
        return msgspec.json.decode(text, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent(reason=f"it is malformed ({error})") from error


def content(event: Event) -> dict[str, Any]:
    """Return the object in the body. Raises BadEvent. For events that are known to be genuine alone.

    >>> job = "hub-00112233aabbccdd"
    >>> content(Event(job=job, seq=1, type=EventType.PROGRESS, time=0, sender="me", body='{"percent":5}'))
    {'percent': 5}
    """
    try:
        value = json.loads(event.body)
    except (ValueError, RecursionError) as error:
        raise BadEvent(reason=f"its body is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise BadEvent(reason="its body is no JSON object")
    return value


def _netstring(data: bytes) -> bytes:
    return str(len(data)).encode() + b":" + data + b","
