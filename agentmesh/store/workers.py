"""The programs of this host that have claimed a job, be its home here or elsewhere. Each function: one transaction."""

import sqlite3

import msgspec


class Working(msgspec.Struct, frozen=True, kw_only=True):
    """A program that has claimed a job."""

    job: str
    sender: str
    """The worker's name in its events."""
    pid: int
    started: str
    """When the process began, as the system tells: a later one may have the same number."""
    program: str
    """Its name, for people."""


def keep(connection: sqlite3.Connection, working: Working) -> None:
    """Keep in mind which program works on a job."""
    connection.execute(
        "INSERT OR REPLACE INTO workers (job, sender, pid, started, program) VALUES (?, ?, ?, ?, ?)",
        (working.job, working.sender, working.pid, working.started, working.program),
    )


def forget(connection: sqlite3.Connection, job: str, sender: str) -> None:
    """Forget which program works on a job, if it has this name."""
    connection.execute("DELETE FROM workers WHERE job = ? AND sender = ?", (job, sender))


def listed(connection: sqlite3.Connection) -> list[Working]:
    """Return all that are kept."""
    rows = connection.execute("SELECT job, sender, pid, started, program FROM workers")
    return [
        Working(job=job, sender=sender, pid=pid, started=started, program=program)
        for job, sender, pid, started, program in rows
    ]
