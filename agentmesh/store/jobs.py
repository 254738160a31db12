"""Jobs of this host, and what was reported of them. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core.chain import Entry
from agentmesh.core.event import Event, is_genuine
from agentmesh.core.job import OF_THE_HOME, Job, JobState, after, is_end, is_from_its_pane
from agentmesh.core.model import HERE, Origin
from agentmesh.errors import BadEvent

MOST_DROPPED = 100
"""How many dropped events are kept of one job: who floods it must not fill the disk."""


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was not accepted, and why."""

    received: int
    reason: str
    origin: Origin
    event: Event


def register(connection: sqlite3.Connection, job: Job, token: str, event: Event) -> None:
    """Store a new job with its first event."""
    connection.execute(
        "INSERT INTO jobs (id, state, token, job) VALUES (?, ?, ?, ?)",
        (job.id, job.state, token, msgspec.json.encode(job)),
    )
    _insert(connection, event, job.created, HERE)


def accept(connection: sqlite3.Connection, event: Event, origin: Origin, now: int) -> Job:
    """Take up an event and return the job after it; one that was taken up before changes nothing.

    Raises BadEvent, in which case nothing but the reason is noted, by `note_dropped`.
    """
    found = find(connection, event.job)
    if found is None:
        raise BadEvent(reason=f"there is no job {event.job} here")
    job, token = found
    if job.is_signed and not is_genuine(event, token):
        raise BadEvent(reason="its signature is wrong")
    row = connection.execute(
        "SELECT event FROM events WHERE job = ? AND sender = ? AND seq = ?", (event.job, event.sender, event.seq)
    ).fetchone()
    if row and msgspec.json.decode(row[0], type=Event) == event:
        return job
    (highest,) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM events WHERE job = ? AND sender = ?", (event.job, event.sender)
    ).fetchone()
    if event.seq <= highest:
        raise BadEvent(reason=f"its seq {event.seq} isn't above {highest}, which was accepted from {event.sender}")
    if event.type in OF_THE_HOME and origin != HERE:
        raise BadEvent(reason=f"only the job's home says {event.type}")
    if job.is_personal and event.type not in OF_THE_HOME and not is_from_its_pane(job, event, origin):
        raise BadEvent(reason=f"the job is for the pane {job.to} alone, and it is not from there")
    changed = after(job, event, now)
    _insert(connection, event, now, origin)
    connection.execute(
        "UPDATE jobs SET state = ?, job = ? WHERE id = ?", (changed.state, msgspec.json.encode(changed), job.id)
    )
    return changed


def note_dropped(connection: sqlite3.Connection, event: Event, origin: Origin, reason: str, now: int) -> None:
    """Note that an event of a job of ours was not accepted, and why."""
    (count,) = connection.execute("SELECT count(*) FROM dropped WHERE job = ?", (event.job,)).fetchone()
    if find(connection, event.job) is None or count >= MOST_DROPPED:
        return
    dropped = Dropped(received=now, reason=reason, origin=origin, event=event)
    connection.execute("INSERT INTO dropped (job, dropped) VALUES (?, ?)", (event.job, msgspec.json.encode(dropped)))


def dropped(connection: sqlite3.Connection, job: str) -> list[Dropped]:
    """Return the events of a job that were not accepted, oldest first."""
    rows = connection.execute("SELECT dropped FROM dropped WHERE job = ? ORDER BY rowid", (job,))
    return [msgspec.json.decode(text, type=Dropped) for (text,) in rows]


def find(connection: sqlite3.Connection, identifier: str) -> tuple[Job, str] | None:
    """Return a job of this host and its token."""
    row = connection.execute("SELECT job, token FROM jobs WHERE id = ?", (identifier,)).fetchone()
    return (msgspec.json.decode(row[0], type=Job), row[1]) if row else None


def listed(connection: sqlite3.Connection, *, ended: bool = False) -> list[Job]:
    """Return the jobs of this host that have not ended, or all, oldest first."""
    states = [state.value for state in JobState if ended or not is_end(state)]
    rows = connection.execute(
        "SELECT job FROM jobs WHERE state IN (SELECT value FROM json_each(?)) ORDER BY rowid",
        (msgspec.json.encode(states).decode(),),
    )
    return [msgspec.json.decode(text, type=Job) for (text,) in rows]


def entries(connection: sqlite3.Connection, job: str, beyond: int = 0) -> list[Entry]:
    """Return what was accepted of a job, beyond so many events, in order; ``previous`` is not filled in."""
    rows = connection.execute(
        "SELECT event, received, origin FROM events WHERE job = ? ORDER BY number LIMIT -1 OFFSET ?", (job, beyond)
    )
    return [
        Entry(
            number=number,
            received=received,
            origin=msgspec.json.decode(origin, type=Origin),
            event=msgspec.json.decode(event, type=Event),
        )
        for number, (event, received, origin) in enumerate(rows, beyond + 1)
    ]


def next_seq(connection: sqlite3.Connection, job: str, sender: str, now_us: int) -> int:
    """Return a number above all that an emitter of this host has used for a job: its clock's microseconds, or more.

    Raises BadEvent when there are no numbers left.
    """
    (highest,) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM events WHERE job = ?1 AND sender = ?2"
        " UNION ALL SELECT seq FROM reports WHERE job = ?1 AND sender = ?2)",
        (job, sender),
    ).fetchone()
    return max(int(highest) + 1, now_us)


def _insert(connection: sqlite3.Connection, event: Event, received: int, origin: Origin) -> None:
    connection.execute(
        "INSERT INTO events (job, sender, seq, event, received, origin) VALUES (?, ?, ?, ?, ?, ?)",
        (event.job, event.sender, event.seq, msgspec.json.encode(event), received, msgspec.json.encode(origin)),
    )
