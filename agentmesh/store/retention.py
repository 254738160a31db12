"""Remove what ended long ago from the outbox and the inbox. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core.delivery import State, is_end


def forget(connection: sqlite3.Connection, before: int) -> int:
    """Remove the messages that ended before a moment, Unix seconds; returns how many rows those were."""
    ends = msgspec.json.encode([state.value for state in State if is_end(state)]).decode()
    removed = 0
    for table in ("outbox", "inbox"):
        removed += connection.execute(
            f"DELETE FROM {table} WHERE state IN (SELECT value FROM json_each(?))"  # noqa: S608 (our own names)
            " AND coalesce(json_extract(CAST(receipt AS TEXT), '$.time'), 0) < ?",
            (ends, before),
        ).rowcount
    return removed
