"""Reviews of this host, each with its history. Each function runs in one transaction."""

import sqlite3
from collections.abc import Callable

import msgspec

from agentmesh.core.review import Review, is_settled


def add(connection: sqlite3.Connection, review: Review) -> None:
    """Store a new review."""
    connection.execute(
        "INSERT INTO reviews (id, is_settled, review) VALUES (?, ?, ?)",
        (review.id, is_settled(review), msgspec.json.encode(review)),
    )


def change(connection: sqlite3.Connection, identifier: str, step: Callable[[Review], Review]) -> Review:
    """Take a review a step on, and return it. What the step raises leaves it as it was."""
    found = find(connection, identifier)
    if found is None:
        raise LookupError(identifier)
    changed = step(found)
    if changed != found:
        changed = msgspec.structs.replace(changed, revision=found.revision + 1)
        connection.execute(
            "UPDATE reviews SET is_settled = ?, review = ? WHERE id = ?",
            (is_settled(changed), msgspec.json.encode(changed), identifier),
        )
    return changed


def find(connection: sqlite3.Connection, identifier: str) -> Review | None:
    """Return a review of this host."""
    row = connection.execute("SELECT review FROM reviews WHERE id = ?", (identifier,)).fetchone()
    return msgspec.json.decode(row[0], type=Review) if row else None


def listed(connection: sqlite3.Connection, *, settled: bool = True) -> list[Review]:
    """Return the reviews of this host, oldest first: all, or those for which there is something to be done."""
    rows = connection.execute("SELECT review FROM reviews WHERE is_settled <= ? ORDER BY number", (settled,))
    return [msgspec.json.decode(text, type=Review) for (text,) in rows]
