"""What this host last knew of each host's panes, and the epochs of its own. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core.identity import UNSIGNED, Seal
from agentmesh.core.model import Slice


def next_epoch(connection: sqlite3.Connection, heard: int = 0) -> int:
    """Return an epoch above all that this host has used, and above one that was heard of, durably."""
    (epoch,) = connection.execute(
        "INSERT INTO facts (name, value) VALUES ('epoch', :heard + 1)"
        " ON CONFLICT (name) DO UPDATE SET value = max(value, :heard) + 1 RETURNING value",
        {"heard": heard},
    ).fetchone()
    return int(epoch)


def keep(connection: sqlite3.Connection, part: Slice, seal: Seal) -> None:
    """Remember a host's newest slice, in the bytes that were signed, if it was."""
    connection.execute(
        "INSERT INTO slices (host, slice, key, signature) VALUES (?, ?, ?, ?) ON CONFLICT (host) DO UPDATE"
        " SET slice = excluded.slice, key = excluded.key, signature = excluded.signature",
        (part.host, seal.text or msgspec.json.encode(part), seal.key, seal.signature),
    )


def load(connection: sqlite3.Connection) -> list[tuple[Slice, Seal]]:
    """Return every slice remembered."""
    rows = connection.execute("SELECT slice, key, signature FROM slices")
    return [
        (msgspec.json.decode(text, type=Slice), Seal(text, key, signature) if signature else UNSIGNED)
        for text, key, signature in rows
    ]


def forget(connection: sqlite3.Connection, host: str) -> None:
    """Drop the slice of a host that left the mesh."""
    connection.execute("DELETE FROM slices WHERE host = ?", (host,))
