"""Messages that this host has accepted for its panes, and their journal. Each function runs in one transaction."""

import sqlite3
from collections.abc import Collection, Iterable
from typing import NamedTuple

import msgspec

from agentmesh.core.delivery import Event, IllegalEvent, State, step
from agentmesh.core.model import HERE, Letter, Message, Origin, Receipt
from agentmesh.store import outbox

_STORED = step(State.ACCEPTED, Event.STORE)


class Stored(NamedTuple):
    """What is on disk of a message."""

    receipt: Receipt
    place: int
    """Where it stands: what came earlier has a smaller one."""
    is_new: bool = False


class OutOfTurn(Exception):
    """An older message for the same address has not ended."""


def store(connection: sqlite3.Connection, message: Message, now: int, origin: Origin = HERE) -> Stored:
    """Take a message in, once, from this host or another."""
    receipt = Receipt(id=message.id, to=message.to, host=message.host, state=_STORED, time=now)
    inserted = connection.execute(
        "INSERT OR IGNORE INTO inbox (id, address, state, message, receipt, origin) VALUES (?, ?, ?, ?, ?, ?)",
        (message.id, message.to, receipt.state, *map(msgspec.json.encode, (message, receipt, origin))),
    ).rowcount
    place, known = connection.execute("SELECT rowid, receipt FROM inbox WHERE id = ?", (message.id,)).fetchone()
    return Stored(msgspec.json.decode(known, type=Receipt), place, bool(inserted))


def accept_and_store(connection: sqlite3.Connection, message: Message, now: int) -> Stored:
    """Take a message of this host for a pane of this host, in one transaction."""
    outbox.accept(connection, message, _STORED)
    return store(connection, message, now)


def advance(
    connection: sqlite3.Connection, receipt: Receipt, event: Event, now: int, *, in_turn: bool = False
) -> Receipt:
    """Journal a step of a message's life, with what the receipt says now.

    Raises IllegalEvent, changing nothing, when the table has no such step, or another process has gone on meanwhile;
    and OutOfTurn, where the step is to be taken in turn, while an older message for the same address hasn't ended.
    """
    if in_turn and _unended_before(connection, receipt.id):
        raise OutOfTurn
    advanced = msgspec.structs.replace(receipt, state=step(receipt.state, event), time=now)
    changed = connection.execute(
        "UPDATE inbox SET state = ?, receipt = ? WHERE id = ? AND state = ?",
        (advanced.state, msgspec.json.encode(advanced), advanced.id, receipt.state),
    ).rowcount
    if not changed:
        raise IllegalEvent(f"{event}: message {receipt.id} is no longer {receipt.state}")
    outbox.record(connection, advanced)
    return advanced


def find(connection: sqlite3.Connection, identifier: str) -> Receipt | None:
    """Return how far a message for this host got."""
    row = connection.execute("SELECT receipt FROM inbox WHERE id = ?", (identifier,)).fetchone()
    return msgspec.json.decode(row[0], type=Receipt) if row else None


def unended(connection: sqlite3.Connection, before: Message | None = None) -> list[tuple[Message, Stored]]:
    """Return the messages whose delivery was begun or not yet tried, oldest first.

    With ``before``, those for the same address that came earlier than it.
    """
    if before is not None:
        return _unended_before(connection, before.id)
    rows = connection.execute(
        "SELECT message, receipt, rowid FROM inbox WHERE state IN (?, ?, ?) ORDER BY rowid",
        (State.STORED, State.PASTING, State.PASTED),
    )
    return _as_stored(rows)


def _unended_before(connection: sqlite3.Connection, identifier: str) -> list[tuple[Message, Stored]]:
    rows = connection.execute(
        "SELECT older.message, older.receipt, older.rowid FROM inbox AS older, inbox AS this"
        " WHERE this.id = ? AND older.address = this.address AND older.rowid < this.rowid AND older.state IN (?, ?, ?)"
        " ORDER BY older.rowid",
        (identifier, State.STORED, State.PASTING, State.PASTED),
    )
    return _as_stored(rows)


def _as_stored(rows: Iterable[tuple[bytes, bytes, int]]) -> list[tuple[Message, Stored]]:
    return [
        (msgspec.json.decode(message, type=Message), Stored(msgspec.json.decode(receipt, type=Receipt), place))
        for message, receipt, place in rows
    ]


def listed(
    connection: sqlite3.Connection, addresses: Collection[str] = (), words: str = "", *, unread: bool = False
) -> list[Letter]:
    """Return what came for some addresses, or for all, oldest first; with some words in it, or not marked as read."""
    rows = connection.execute(
        "SELECT message, receipt, read, origin FROM inbox"
        " WHERE (json_array_length(:addresses) = 0 OR address IN (SELECT value FROM json_each(:addresses)))"
        " AND instr(lower(json_extract(CAST(message AS TEXT), '$.body')), lower(:words)) > 0"
        " AND NOT (:unread AND read) ORDER BY rowid",
        {"addresses": msgspec.json.encode(list(addresses)).decode(), "words": words, "unread": unread},
    )
    return _decoded(rows)


def count_unread(connection: sqlite3.Connection) -> int:
    """Return how many messages are not marked as read."""
    (count,) = connection.execute("SELECT count(*) FROM inbox WHERE NOT read").fetchone()
    return int(count)


def mark(connection: sqlite3.Connection, identifiers: Collection[str]) -> None:
    """Mark messages as read."""
    connection.executemany("UPDATE inbox SET read = 1 WHERE id = ?", [(identifier,) for identifier in identifiers])


def _decoded(rows: Iterable[tuple[bytes, bytes, int, bytes]]) -> list[Letter]:
    return [
        Letter(
            msgspec.json.decode(message, type=Message),
            msgspec.json.decode(receipt, type=Receipt),
            bool(read),
            msgspec.json.decode(origin, type=Origin),
        )
        for message, receipt, read, origin in rows
    ]
