"""Remove what ended long ago. Each function runs in one transaction."""

import sqlite3
from collections.abc import Sequence

import msgspec

from agentmesh.core import job
from agentmesh.core.delivery import State, is_end
from agentmesh.core.job import JobState
from agentmesh.core.model import UnixTime
from agentmesh.core.review import ENDS, is_settled, latest
from agentmesh.store import reviews

OF_A_JOB = ("events", "dropped", "unsent", "briefs", "seqs", "workers", "withheld")
"""The tables that speak of jobs; what a broker retains is its mirror's to take back."""


def forget_messages(connection: sqlite3.Connection, before: UnixTime) -> int:
    """Remove the messages that ended before a moment; returns how many rows those were."""
    ends = msgspec.json.encode([state.value for state in State if is_end(state)]).decode()
    removed = 0
    for table in ("outbox", "inbox"):
        removed += connection.execute(
            f"DELETE FROM {table} WHERE state IN (SELECT value FROM json_each(?))"  # noqa: S608 (our own names)
            " AND coalesce(json_extract(CAST(receipt AS TEXT), '$.time'), 0) < ?",
            (ends, before),
        ).rowcount
    return removed


def old_reviews(connection: sqlite3.Connection, before: UnixTime) -> list[str]:
    """Return the reviews that have ended, and of which all was said before a moment."""
    listed = reviews.listed(connection)
    return [each.id for each in listed if each.state in ENDS and is_settled(each) and latest(each) < before]


def forget_review(connection: sqlite3.Connection, identifier: str) -> None:
    """Remove a review; its jobs are now as others."""
    connection.execute("DELETE FROM reviews WHERE id = ?", (identifier,))


def old_jobs(connection: sqlite3.Connection, before: UnixTime) -> list[str]:
    """Return the jobs that ended before a moment, and belong to no review of this host.

    The one with the newest event isn't among them: without it that event's number, which mirrors go by, would be given
    once more.
    """
    ends = msgspec.json.encode([state.value for state in JobState if job.is_end(state)]).decode()
    rows = connection.execute(
        "SELECT id FROM jobs WHERE state IN (SELECT value FROM json_each(?))"
        " AND json_extract(CAST(job AS TEXT), '$.updated') < ?"
        " AND id IS NOT (SELECT job FROM events ORDER BY number DESC LIMIT 1) ORDER BY rowid",
        (ends, before),
    )
    asks = (ask for review in reviews.listed(connection) for each in review.rounds for ask in each.asks)
    needed = {ask.job for ask in asks}
    return [identifier for (identifier,) in rows if identifier not in needed]


def forget_job(connection: sqlite3.Connection, identifier: str) -> None:
    """Remove all that is kept of a job."""
    connection.execute("DELETE FROM jobs WHERE id = ?", (identifier,))
    for table in OF_A_JOB:
        connection.execute(f"DELETE FROM {table} WHERE job = ?", (identifier,))  # noqa: S608 (our own names)


def forget_traces(connection: sqlite3.Connection, before: UnixTime, brokers: Sequence[str]) -> None:
    """Remove what was noted before a moment of jobs that are not kept here; ``brokers``: those that are in use.

    That is the numbers used for other hosts' jobs, far below their emitters' clocks by now, and what other brokers were
    to retain until then, as nobody takes it back from them.
    """
    connection.execute(
        "DELETE FROM seqs WHERE seq < ? * 1000000"
        " AND job NOT IN (SELECT id FROM jobs UNION SELECT job FROM reports UNION SELECT job FROM workers)",
        (before,),
    )
    connection.execute(
        "DELETE FROM retained WHERE until < ? AND broker NOT IN (SELECT value FROM json_each(?))",
        (before, msgspec.json.encode(brokers).decode()),
    )
