"""What this host reports of jobs whose home is another, and their tokens. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core.event import Event

OUTCOME_KEPT = 1000
"""How many reports are kept of which the outcome is known: so that their seqs stay used."""


def keep_grant(connection: sqlite3.Connection, job: str, token: str) -> None:
    """Keep the token of a job."""
    connection.execute("INSERT OR REPLACE INTO grants (job, token) VALUES (?, ?)", (job, token))


def granted(connection: sqlite3.Connection, job: str) -> str | None:
    """Return the token of a job of another host, which is empty for a job without one; None if it isn't known."""
    row = connection.execute("SELECT token FROM grants WHERE job = ?", (job,)).fetchone()
    return str(row[0]) if row else None


def store(connection: sqlite3.Connection, home: str, event: Event) -> None:
    """Take responsibility for an event."""
    connection.execute(
        "INSERT INTO reports (home, job, sender, seq, event) VALUES (?, ?, ?, ?, ?)",
        (home, event.job, event.sender, event.seq, msgspec.json.encode(event)),
    )


def waiting(connection: sqlite3.Connection, home: str) -> list[Event]:
    """Return the events for a home that has not said what became of them, in the order in which they were made."""
    rows = connection.execute("SELECT event FROM reports WHERE home = ? AND outcome IS NULL ORDER BY number", (home,))
    return [msgspec.json.decode(text, type=Event) for (text,) in rows]


def homes(connection: sqlite3.Connection) -> list[str]:
    """Return the hosts that events wait for."""
    return [home for (home,) in connection.execute("SELECT DISTINCT home FROM reports WHERE outcome IS NULL")]


def settle(connection: sqlite3.Connection, home: str, job: str, emitter: str, seq: int, reason: str) -> None:
    """Note what became of an event, by the word of the job's home."""
    connection.execute(
        "UPDATE reports SET outcome = ? WHERE home = ? AND job = ? AND sender = ? AND seq = ? AND outcome IS NULL",
        (reason, home, job, emitter, seq),
    )
    connection.execute(
        "DELETE FROM reports WHERE outcome IS NOT NULL AND number <= (SELECT max(number) FROM reports) - ?",
        (OUTCOME_KEPT,),
    )


def outcome(connection: sqlite3.Connection, event: Event) -> str | None:
    """Return why an event was dropped, empty if it was accepted; None while that isn't known."""
    row = connection.execute(
        "SELECT outcome FROM reports WHERE job = ? AND sender = ? AND seq = ?", (event.job, event.sender, event.seq)
    ).fetchone()
    return row[0] if row else None
