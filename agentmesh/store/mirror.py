"""What MQTT brokers have of the events of this host's jobs. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core.event import Event
from agentmesh.core.job import JobState, is_end
from agentmesh.core.model import Origin, UnixTime

_OPEN = msgspec.json.encode([state.value for state in JobState if not is_end(state)]).decode()
_IS_WANTED = "(received >= ?2 OR job IN (SELECT id FROM jobs WHERE state IN (SELECT value FROM json_each(?3))))"


class Accepted(msgspec.Struct, frozen=True):
    """An event that a broker may lack."""

    number: int
    """It rises with each event that this host accepts, of whichever job."""
    event: Event
    origin: Origin


def lacking(connection: sqlite3.Connection, broker: str, since: UnixTime, most: int) -> list[Accepted]:
    """Return the first events that a broker lacks, in order: of jobs that go on, or accepted since a moment."""
    rows = connection.execute(
        "SELECT number, event, origin FROM events"  # noqa: S608 (our own words)
        " WHERE number > coalesce((SELECT number FROM mirrors WHERE broker = ?1), 0)"
        f" AND {_IS_WANTED} ORDER BY number LIMIT ?4",
        (broker, since, _OPEN, most),
    )
    return [_accepted(*row) for row in rows]


def advance(connection: sqlite3.Connection, broker: str, number: int) -> None:
    """Note that a broker has every event up to a number that it shall have."""
    connection.execute("INSERT OR REPLACE INTO mirrors (broker, number) VALUES (?, ?)", (broker, number))


def withhold(connection: sqlite3.Connection, broker: str, job: str, number: int) -> None:
    """Note that a broker lacks the events of a job from a number on, though it may have later ones of other jobs."""
    connection.execute("INSERT OR REPLACE INTO withheld (broker, job, number) VALUES (?, ?, ?)", (broker, job, number))


def withheld(connection: sqlite3.Connection, broker: str) -> list[str]:
    """Return the jobs whose events a broker lacks for themselves."""
    return [job for (job,) in connection.execute("SELECT job FROM withheld WHERE broker = ? ORDER BY rowid", (broker,))]


def lacking_of(connection: sqlite3.Connection, broker: str, job: str, since: UnixTime, most: int) -> list[Accepted]:
    """Return the first events of a withheld job that a broker lacks, in order, of those whose turn has come."""
    rows = connection.execute(
        "SELECT number, event, origin FROM events WHERE job = ?5"  # noqa: S608 (our own words)
        " AND number >= (SELECT number FROM withheld WHERE broker = ?1 AND job = ?5)"
        " AND number <= (SELECT number FROM mirrors WHERE broker = ?1)"
        f" AND {_IS_WANTED} ORDER BY number LIMIT ?4",
        (broker, since, _OPEN, most, job),
    )
    return [_accepted(*row) for row in rows]


def release(connection: sqlite3.Connection, broker: str, job: str) -> None:
    """Note that a broker has of a job what it has of all."""
    connection.execute("DELETE FROM withheld WHERE broker = ? AND job = ?", (broker, job))


def count_lacking(connection: sqlite3.Connection, broker: str) -> int:
    """Return how many events come after what a broker has, or are withheld."""
    (count,) = connection.execute(
        "WITH had(number) AS (SELECT coalesce((SELECT number FROM mirrors WHERE broker = ?1), 0))"
        " SELECT (SELECT count(*) FROM events, had WHERE events.number > had.number)"
        " + (SELECT count(*) FROM withheld JOIN events ON events.job = withheld.job, had"
        " WHERE withheld.broker = ?1 AND events.number BETWEEN withheld.number AND had.number)",
        (broker,),
    ).fetchone()
    return int(count)


def retain(connection: sqlite3.Connection, broker: str, event: Event, until: UnixTime) -> None:
    """Note that a broker keeps a job's last event for those who come late, and until when it shall."""
    connection.execute(
        "INSERT OR REPLACE INTO retained (broker, job, event, until) VALUES (?, ?, ?, ?)",
        (broker, event.job, msgspec.json.encode(event), until),
    )


def retained(connection: sqlite3.Connection, broker: str) -> list[Event]:
    """Return the events that a broker keeps."""
    rows = connection.execute("SELECT event FROM retained WHERE broker = ? ORDER BY rowid", (broker,))
    return [msgspec.json.decode(text, type=Event) for (text,) in rows]


def retained_since(connection: sqlite3.Connection, broker: str, until: UnixTime) -> list[str]:
    """Return the jobs whose last event a broker keeps until a moment, or longer."""
    rows = connection.execute("SELECT job FROM retained WHERE broker = ? AND until >= ?", (broker, until))
    return [job for (job,) in rows]


def leftovers(connection: sqlite3.Connection, broker: str, now: UnixTime) -> list[str]:
    """Return the jobs whose last event a broker has kept for long enough."""
    return [
        job for (job,) in connection.execute("SELECT job FROM retained WHERE broker = ? AND until <= ?", (broker, now))
    ]


def forget(connection: sqlite3.Connection, broker: str, job: str) -> None:
    """Note that a broker keeps nothing of a job any more."""
    connection.execute("DELETE FROM retained WHERE broker = ? AND job = ?", (broker, job))


def is_known(connection: sqlite3.Connection, event: Event) -> bool:
    """Tell whether this very event was accepted."""
    row = connection.execute(
        "SELECT event FROM events WHERE job = ? AND sender = ? AND seq = ?", (event.job, event.sender, event.seq)
    ).fetchone()
    return bool(row) and msgspec.json.decode(row[0], type=Event) == event


def _accepted(number: int, event: bytes, origin: bytes) -> Accepted:
    return Accepted(number, msgspec.json.decode(event, type=Event), msgspec.json.decode(origin, type=Origin))
