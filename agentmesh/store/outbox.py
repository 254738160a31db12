"""Messages that this host must get out, and how far each got. Each function runs in one transaction."""

import sqlite3
from collections.abc import Iterable

import msgspec

from agentmesh.core.delivery import Event, State, is_end, step
from agentmesh.core.model import Letter, Message, Receipt


def accept(connection: sqlite3.Connection, message: Message, state: State = State.ACCEPTED) -> Receipt:
    """Take responsibility for a message; one for a pane of this host is stored in the same moment."""
    receipt = Receipt(id=message.id, to=message.to, host=message.host, state=state, time=message.sent)
    connection.execute(
        "INSERT INTO outbox (id, host, state, message, receipt) VALUES (?, ?, ?, ?, ?)",
        (message.id, message.host, receipt.state, msgspec.json.encode(message), msgspec.json.encode(receipt)),
    )
    return receipt


def record(connection: sqlite3.Connection, heard: Receipt) -> None:
    """Note what the pane's host says of a message. After its end nothing changes, unless that was ignorance of ours.

    What another host says of it, or of a message that was never sent, changes nothing either.
    """
    current = find(connection, heard.id)
    if current is None or current.host != heard.host:
        return
    if not is_end(current.state) or (current.state is State.UNCERTAIN and is_end(heard.state)):
        _write(connection, heard)


def advance(connection: sqlite3.Connection, message: Message, event: Event, detail: str, now: int) -> Receipt:
    """End a message that its host has not spoken of. Returns the receipt; that of an earlier end stands."""
    current = find(connection, message.id)
    if current is None:
        raise LookupError(message.id)
    if is_end(current.state):
        return current
    receipt = msgspec.structs.replace(current, state=step(current.state, event), detail=detail, time=now)
    _write(connection, receipt)
    return receipt


def note(connection: sqlite3.Connection, identifier: str, detail: str) -> None:
    """Say why a message waits."""
    current = find(connection, identifier)
    if current is not None and not is_end(current.state):
        _write(connection, msgspec.structs.replace(current, detail=detail))


def find(connection: sqlite3.Connection, identifier: str) -> Receipt | None:
    """Return how far a message of this host got."""
    row = connection.execute("SELECT receipt FROM outbox WHERE id = ?", (identifier,)).fetchone()
    return msgspec.json.decode(row[0], type=Receipt) if row else None


def listed(connection: sqlite3.Connection, *, ended: bool = False) -> list[Letter]:
    """Return the messages whose end isn't known, or all that are kept, oldest first."""
    states = [state.value for state in State if ended or not is_end(state)]
    rows = connection.execute(
        "SELECT message, receipt FROM outbox WHERE state IN (SELECT value FROM json_each(?)) ORDER BY rowid",
        (msgspec.json.encode(states).decode(),),
    )
    return _decoded(rows)


def uncertain(connection: sqlite3.Connection, since: int) -> list[Letter]:
    """Return the messages of which this host is uncertain, and that were sent since then, Unix seconds."""
    rows = connection.execute(
        "SELECT message, receipt FROM outbox"
        " WHERE state = ? AND json_extract(CAST(message AS TEXT), '$.sent') >= ? ORDER BY rowid",
        (State.UNCERTAIN, since),
    )
    return _decoded(rows)


def _decoded(rows: Iterable[tuple[bytes, bytes]]) -> list[Letter]:
    return [
        Letter(msgspec.json.decode(message, type=Message), msgspec.json.decode(receipt, type=Receipt))
        for message, receipt in rows
    ]


def _write(connection: sqlite3.Connection, receipt: Receipt) -> None:
    connection.execute(
        "UPDATE outbox SET state = ?, receipt = ? WHERE id = ?",
        (receipt.state, msgspec.json.encode(receipt), receipt.id),
    )
