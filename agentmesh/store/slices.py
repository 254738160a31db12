"""What this host last knew of each host's panes, and the epochs of its own. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core.model import Slice


def next_epoch(connection: sqlite3.Connection, heard: int = 0) -> int:
    """Return an epoch above all that this host has used, and above one that was heard of, durably."""
    (epoch,) = connection.execute(
        "INSERT INTO facts (name, value) VALUES ('epoch', :heard + 1)"
        " ON CONFLICT (name) DO UPDATE SET value = max(value, :heard) + 1 RETURNING value",
        {"heard": heard},
    ).fetchone()
    return int(epoch)


def keep(connection: sqlite3.Connection, part: Slice) -> None:
    """Remember a host's newest slice."""
    connection.execute(
        "INSERT INTO slices (host, slice) VALUES (?, ?) ON CONFLICT (host) DO UPDATE SET slice = excluded.slice",
        (part.host, msgspec.json.encode(part)),
    )


def load(connection: sqlite3.Connection) -> list[Slice]:
    """Return every slice remembered."""
    return [msgspec.json.decode(row[0], type=Slice) for row in connection.execute("SELECT slice FROM slices")]


def forget(connection: sqlite3.Connection, host: str) -> None:
    """Drop the slice of a host that left the mesh."""
    connection.execute("DELETE FROM slices WHERE host = ?", (host,))
