"""The highest number that each emitter of this host has used for a job. Each function runs in one transaction."""

import sqlite3


def next_seq(connection: sqlite3.Connection, job: str, sender: str, now_us: int) -> int:
    """Return a number above all that an emitter has used: its clock's microseconds, or more. It is used from now on.

    It may be too high for an event, if somebody has used the last one.
    """
    row = connection.execute(
        "SELECT max(seq) FROM (SELECT seq FROM seqs WHERE job = ?1 AND sender = ?2"
        " UNION ALL SELECT max(seq) FROM events WHERE job = ?1 AND sender = ?2)",
        (job, sender),
    ).fetchone()
    seq = max(int(row[0] or 0) + 1, now_us)
    if seq < 2**63:
        note(connection, job, sender, seq)
    return seq


def note(connection: sqlite3.Connection, job: str, sender: str, seq: int) -> None:
    """Note that a number is used."""
    connection.execute("INSERT OR REPLACE INTO seqs (job, sender, seq) VALUES (?, ?, ?)", (job, sender, seq))
