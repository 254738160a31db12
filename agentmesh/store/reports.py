"""What this host reports of jobs whose home is another, and their tokens. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core.event import Event, EventType, home_of, new_event, signed
from agentmesh.store import seqs

MOST_GRANTS = 10_000
"""How many tokens of other hosts' jobs are kept; an older one is asked for again when it is needed."""


def keep_grant(connection: sqlite3.Connection, job: str, token: str) -> None:
    """Keep the token of a job."""
    connection.execute("INSERT OR REPLACE INTO grants (job, token) VALUES (?, ?)", (job, token))
    connection.execute("DELETE FROM grants WHERE rowid <= (SELECT max(rowid) FROM grants) - ?", (MOST_GRANTS,))


def granted(connection: sqlite3.Connection, job: str) -> str | None:
    """Return the token of a job of another host, which is empty for a job without one; None if it isn't known."""
    row = connection.execute("SELECT token FROM grants WHERE job = ?", (job,)).fetchone()
    return str(row[0]) if row else None


def store(
    connection: sqlite3.Connection, job: str, sender: str, kind: EventType, body: str, token: str, now_us: int
) -> Event:
    """Make an event, sign it, and take responsibility for it, in the order of its numbers. Raises BadEvent."""
    seq = seqs.next_seq(connection, job, sender, now_us)
    event = signed(new_event(job, seq, kind, sender, body, now_us), token)
    connection.execute(
        "INSERT INTO reports (home, job, sender, seq, event) VALUES (?, ?, ?, ?, ?)",
        (home_of(job), job, sender, event.seq, msgspec.json.encode(event)),
    )
    return event


def next_of_each(connection: sqlite3.Connection, home: str, most: int) -> list[Event]:
    """Return of each emitter for a job the oldest event that the job's home has not answered, so many at most."""
    rows = connection.execute(
        "SELECT event FROM reports WHERE number IN"
        " (SELECT min(number) FROM reports WHERE home = ? GROUP BY job, sender ORDER BY min(number) LIMIT ?)"
        " ORDER BY number",
        (home, most),
    )
    return [msgspec.json.decode(text, type=Event) for (text,) in rows]


def homes(connection: sqlite3.Connection) -> list[str]:
    """Return the hosts that events wait for."""
    return [home for (home,) in connection.execute("SELECT DISTINCT home FROM reports")]


def waiting(connection: sqlite3.Connection) -> list[Event]:
    """Return the events that homes have not answered, oldest first."""
    rows = connection.execute("SELECT event FROM reports ORDER BY number")
    return [msgspec.json.decode(text, type=Event) for (text,) in rows]


def settle(connection: sqlite3.Connection, home: str, job: str, emitter: str, seq: int) -> Event | None:
    """Keep an event no longer, by the word of the job's home; returns it if it was kept for that host."""
    row = connection.execute(
        "SELECT number, event FROM reports WHERE home = ? AND job = ? AND sender = ? AND seq = ?",
        (home, job, emitter, seq),
    ).fetchone()
    if row is None:
        return None
    connection.execute("DELETE FROM reports WHERE number = ?", (row[0],))
    return msgspec.json.decode(row[1], type=Event)
