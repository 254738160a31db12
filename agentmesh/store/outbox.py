"""Messages that this host must get out, and how far each got. Each function runs in one transaction."""

import sqlite3

import msgspec

from agentmesh.core.delivery import Event, State, is_end, step
from agentmesh.core.model import Message, Receipt


def accept(connection: sqlite3.Connection, message: Message, state: State = State.ACCEPTED) -> Receipt:
    """Take responsibility for a message; one for a pane of this host is stored in the same moment."""
    receipt = Receipt(id=message.id, to=message.to, host=message.host, state=state)
    connection.execute(
        "INSERT INTO outbox (id, host, state, message, receipt) VALUES (?, ?, ?, ?, ?)",
        (message.id, message.host, receipt.state, msgspec.json.encode(message), msgspec.json.encode(receipt)),
    )
    return receipt


def record(connection: sqlite3.Connection, heard: Receipt) -> None:
    """Note what the pane's host says of a message; of an unknown one, or after its end, nothing."""
    current = find(connection, heard.id)
    if current is not None and not is_end(current.state):
        _write(connection, heard)


def advance(connection: sqlite3.Connection, message: Message, event: Event, detail: str) -> Receipt:
    """End a message that its host has not spoken of. Returns the receipt; that of an earlier end stands."""
    current = find(connection, message.id)
    if current is None:
        raise LookupError(message.id)
    if is_end(current.state):
        return current
    receipt = msgspec.structs.replace(current, state=step(current.state, event), detail=detail)
    _write(connection, receipt)
    return receipt


def find(connection: sqlite3.Connection, identifier: str) -> Receipt | None:
    """Return how far a message of this host got."""
    row = connection.execute("SELECT receipt FROM outbox WHERE id = ?", (identifier,)).fetchone()
    return msgspec.json.decode(row[0], type=Receipt) if row else None


def unended(connection: sqlite3.Connection) -> list[Message]:
    """Return the messages whose end isn't known, oldest first."""
    rows = connection.execute(
        "SELECT message FROM outbox WHERE state IN (?, ?, ?, ?) ORDER BY rowid",
        (State.ACCEPTED, State.STORED, State.PASTING, State.PASTED),
    )
    return [msgspec.json.decode(row[0], type=Message) for row in rows]


def _write(connection: sqlite3.Connection, receipt: Receipt) -> None:
    connection.execute(
        "UPDATE outbox SET state = ?, receipt = ? WHERE id = ?",
        (receipt.state, msgspec.json.encode(receipt), receipt.id),
    )
