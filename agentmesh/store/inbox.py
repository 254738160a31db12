"""Messages that this host has accepted for its panes, and their journal. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core.delivery import Event, IllegalEvent, State, step
from agentmesh.core.model import Message, Receipt
from agentmesh.store import outbox

_STORED = step(State.ACCEPTED, Event.STORE)


def store(connection: sqlite3.Connection, message: Message) -> tuple[Receipt, bool]:
    """Take a message in, once. Returns its receipt, and whether it is new."""
    receipt = Receipt(id=message.id, to=message.to, host=message.host, state=_STORED)
    inserted = connection.execute(
        "INSERT OR IGNORE INTO inbox (id, address, state, message, receipt) VALUES (?, ?, ?, ?, ?)",
        (message.id, message.to, receipt.state, msgspec.json.encode(message), msgspec.json.encode(receipt)),
    ).rowcount
    return (receipt, True) if inserted else (find(connection, message.id) or receipt, False)


def accept_and_store(connection: sqlite3.Connection, message: Message) -> tuple[Receipt, bool]:
    """Take a message of this host for a pane of this host, in one transaction."""
    outbox.accept(connection, message, _STORED)
    return store(connection, message)


def advance(connection: sqlite3.Connection, receipt: Receipt, event: Event) -> Receipt:
    """Journal a step of a message's life, with what the receipt says now.

    Raises IllegalEvent, changing nothing, when the table has no such step, or another process has gone on meanwhile.
    """
    advanced = msgspec.structs.replace(receipt, state=step(receipt.state, event))
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


def unended(connection: sqlite3.Connection) -> list[tuple[Message, Receipt]]:
    """Return the messages whose delivery was begun or not yet tried, oldest first."""
    rows = connection.execute(
        "SELECT message, receipt FROM inbox WHERE state IN (?, ?, ?) ORDER BY rowid",
        (State.STORED, State.PASTING, State.PASTED),
    )
    return [
        (msgspec.json.decode(message, type=Message), msgspec.json.decode(receipt, type=Receipt))
        for message, receipt in rows
    ]
