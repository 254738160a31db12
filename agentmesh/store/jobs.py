"""Jobs of this host, and what was reported of them. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core import delivery
from agentmesh.core.chain import Entry
from agentmesh.core.delivery import State
from agentmesh.core.event import Event, EventType, is_genuine, new_event, signed
from agentmesh.core.job import OF_THE_HOME, Job, JobState, after, is_end, is_from_its_pane
from agentmesh.core.model import HERE, Origin, Receipt
from agentmesh.errors import BadEvent
from agentmesh.store import seqs

MISSED = {state for state in State if delivery.exit_code(state) and state is not State.UNCERTAIN}
"""How a message has ended that has surely reached nobody."""
MOST_DROPPED = 100
"""How many dropped events are kept of one job: who floods it must not fill the disk."""


class Refusal(msgspec.Struct, frozen=True):
    """Why an event was not taken up."""

    reason: str
    is_noted: bool
    """It is, unless the job is not of this host, or too many of its events were refused."""


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was not accepted, and why."""

    received: int
    reason: str
    origin: Origin
    event: Event


def register(
    connection: sqlite3.Connection, job: Job, token: str, body: str, now_us: int, *, awaits_brief: bool = False
) -> None:
    """Store a new job with its first event, and that its brief is still to be sent, if it is."""
    connection.execute(
        "INSERT INTO jobs (id, state, token, job) VALUES (?, ?, ?, ?)",
        (job.id, job.state, token, msgspec.json.encode(job)),
    )
    if awaits_brief:
        connection.execute("INSERT INTO unsent (job) VALUES (?)", (job.id,))
    event = new_event(job.id, now_us, EventType.REGISTERED, job.home, body, now_us)
    seqs.note(connection, job.id, job.home, event.seq)
    _insert(connection, signed(event, token), job.created, HERE)


def report(
    connection: sqlite3.Connection, job: str, sender: str, kind: EventType, body: str, now_us: int
) -> Job | Refusal:
    """Take up an event of this host, made and signed in the same moment: so none is older than one taken up before.

    Raises BadEvent when there can be no such event.
    """
    found = find(connection, job)
    if found is None:
        raise BadEvent(reason=f"there is no job {job} here")
    seq = seqs.next_seq(connection, job, sender, now_us)
    event = signed(new_event(job, seq, kind, sender, body, now_us), found[1])
    return take(connection, event, HERE, now_us // 1_000_000)


def take(connection: sqlite3.Connection, event: Event, origin: Origin, now: int) -> Job | Refusal:
    """Take up an event and return the job after it, or note why not."""
    try:
        return accept(connection, event, origin, now)
    except BadEvent as error:
        reason = str(error.facts["reason"])
        return Refusal(reason, note_dropped(connection, event, origin, reason, now))


def accept(connection: sqlite3.Connection, event: Event, origin: Origin, now: int) -> Job:
    """Take up an event and return the job after it; one that was taken up before changes nothing.

    Raises BadEvent, in which case nothing is changed.
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
    if job.is_personal and event.type not in OF_THE_HOME and not is_from_its_pane(job, event, origin):
        raise BadEvent(reason=f"the job is for the pane {job.to} alone, and it is not from there")
    changed = after(job, event, now, origin)
    _insert(connection, event, now, origin)
    connection.execute(
        "UPDATE jobs SET state = ?, job = ? WHERE id = ?", (changed.state, msgspec.json.encode(changed), job.id)
    )
    return changed


def note_dropped(connection: sqlite3.Connection, event: Event, origin: Origin, reason: str, now: int) -> bool:
    """Note that an event of a job of ours was not accepted, and why; returns whether it is, and isn't one too many."""
    (count,) = connection.execute("SELECT count(*) FROM dropped WHERE job = ?", (event.job,)).fetchone()
    if count >= MOST_DROPPED or not connection.execute("SELECT 1 FROM jobs WHERE id = ?", (event.job,)).fetchone():
        return False
    dropped = Dropped(received=now, reason=reason, origin=origin, event=event)
    connection.execute("INSERT INTO dropped (job, dropped) VALUES (?, ?)", (event.job, msgspec.json.encode(dropped)))
    return True


def dropped(connection: sqlite3.Connection, job: str) -> list[Dropped]:
    """Return the events of a job that were not accepted, oldest first."""
    rows = connection.execute("SELECT dropped FROM dropped WHERE job = ? ORDER BY rowid", (job,))
    return [msgspec.json.decode(text, type=Dropped) for (text,) in rows]


def find(connection: sqlite3.Connection, identifier: str) -> tuple[Job, str] | None:
    """Return a job of this host and its token."""
    row = connection.execute("SELECT job, token FROM jobs WHERE id = ?", (identifier,)).fetchone()
    return (msgspec.json.decode(row[0], type=Job), row[1]) if row else None


def ending(connection: sqlite3.Connection, text: str) -> list[str]:
    """Return the one id that this is, or else some of those that end so: of jobs of this host, and that it works on."""
    rows = connection.execute(
        "SELECT id FROM (SELECT id FROM jobs UNION SELECT job AS id FROM grants)"
        " WHERE id = ?1 OR substr(id, -length(?1)) = ?1 ORDER BY id <> ?1 LIMIT 10",
        (text,),
    )
    found = [identifier for (identifier,) in rows]
    return found[:1] if text in found else found


def unshown(connection: sqlite3.Connection) -> list[str]:
    """Return the jobs whose files may not have all that was accepted: those that have not ended in the files."""
    return [identifier for (identifier,) in connection.execute("SELECT id FROM jobs WHERE is_shown = 0 ORDER BY rowid")]


def note_shown(connection: sqlite3.Connection, job: str) -> None:
    """Note that a job's files have its end."""
    connection.execute("UPDATE jobs SET is_shown = 1 WHERE id = ?", (job,))


def note_briefs(connection: sqlite3.Connection, job: str, receipts: list[Receipt]) -> None:
    """Note with which messages a job's brief was sent, and what became of those that are no message."""
    connection.execute("DELETE FROM unsent WHERE job = ?", (job,))
    connection.executemany(
        "INSERT INTO briefs (job, message, receipt) VALUES (?, ?, ?)",
        [(job, receipt.id, msgspec.json.encode(receipt)) for receipt in receipts],
    )


def briefs(connection: sqlite3.Connection, job: str) -> list[Receipt]:
    """Return how far a job's brief got with each of those that it is for."""
    rows = connection.execute(
        "SELECT coalesce(outbox.receipt, briefs.receipt) FROM briefs LEFT JOIN outbox ON outbox.id = briefs.message"
        " WHERE briefs.job = ? ORDER BY briefs.rowid",
        (job,),
    )
    return [msgspec.json.decode(text, type=Receipt) for (text,) in rows]


def unsent(connection: sqlite3.Connection) -> list[str]:
    """Return the jobs that nobody has claimed, and whose brief was to be sent, and was not."""
    rows = connection.execute(
        "SELECT unsent.job FROM unsent JOIN jobs ON jobs.id = unsent.job WHERE jobs.state = ?", (JobState.REGISTERED,)
    )
    return [identifier for (identifier,) in rows]


def untold(connection: sqlite3.Connection) -> dict[str, list[Receipt]]:
    """Return the jobs that nobody has claimed, and whose brief has reached nobody, and won't any more."""
    rows = connection.execute(
        "SELECT briefs.job, coalesce(outbox.receipt, briefs.receipt) FROM jobs JOIN briefs ON briefs.job = jobs.id"
        " LEFT JOIN outbox ON outbox.id = briefs.message WHERE jobs.state = ? ORDER BY briefs.rowid",
        (JobState.REGISTERED,),
    )
    found: dict[str, list[Receipt]] = {}
    for job, text in rows:
        found.setdefault(job, []).append(msgspec.json.decode(text, type=Receipt))
    return {job: receipts for job, receipts in found.items() if all(receipt.state in MISSED for receipt in receipts)}


def listed(connection: sqlite3.Connection, *, ended: bool = False) -> list[Job]:
    """Return the jobs of this host that have not ended, or all, oldest first."""
    states = [state.value for state in JobState if ended or not is_end(state)]
    rows = connection.execute(
        "SELECT job FROM jobs WHERE state IN (SELECT value FROM json_each(?)) ORDER BY rowid",
        (msgspec.json.encode(states).decode(),),
    )
    return [msgspec.json.decode(text, type=Job) for (text,) in rows]


def entries(connection: sqlite3.Connection, job: str, beyond: int = 0, most: int = -1) -> list[Entry]:
    """Return what was accepted of a job, beyond so many events, in order; ``previous`` is not filled in."""
    rows = connection.execute(
        "SELECT event, received, origin FROM events WHERE job = ? ORDER BY number LIMIT ? OFFSET ?", (job, most, beyond)
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


def last(connection: sqlite3.Connection, job: str) -> Entry | None:
    """Return what was accepted of a job last."""
    (count,) = connection.execute("SELECT count(*) FROM events WHERE job = ?", (job,)).fetchone()
    return entries(connection, job, count - 1)[0] if count else None


def _insert(connection: sqlite3.Connection, event: Event, received: int, origin: Origin) -> None:
    connection.execute(
        "INSERT INTO events (job, sender, seq, event, received, origin) VALUES (?, ?, ?, ?, ?, ?)",
        (event.job, event.sender, event.seq, msgspec.json.encode(event), received, msgspec.json.encode(origin)),
    )
