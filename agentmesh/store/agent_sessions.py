"""The sessions of this host, each with its whole record. Each function runs in one transaction."""

import sqlite3
from collections.abc import Callable

import msgspec

from agentmesh.core.agent_session import AgentSession, Status
from agentmesh.errors import SessionExists, UnknownSession


def add(connection: sqlite3.Connection, session: AgentSession) -> None:
    """Store a new session. Raises SessionExists where one of that name is not archived."""
    try:
        connection.execute(
            "INSERT INTO agent_sessions (name, status, session) VALUES (?, ?, ?)",
            (session.name, session.status, msgspec.json.encode(session)),
        )
    except sqlite3.IntegrityError as error:
        raise SessionExists(name=session.name) from error


def adopt(connection: sqlite3.Connection, session: AgentSession) -> bool:
    """Store what was found running in a pane, unless another has its name, or runs there; returns whether it is."""
    others = listed(connection, archived=False)
    place = (session.server, session.pane)
    if any(
        one.name == session.name or (one.status is Status.RUNNING and (one.server, one.pane) == place) for one in others
    ):
        return False
    add(connection, session)
    return True


def change(connection: sqlite3.Connection, name: str, step: Callable[[AgentSession], AgentSession]) -> AgentSession:
    """Change a session, and return it. What the step raises leaves it as it was. Raises UnknownSession."""
    found = find(connection, name)
    changed = step(found)
    if changed != found:
        connection.execute(
            "UPDATE agent_sessions SET status = ?, session = ? WHERE name = ? AND status <> ?",
            (changed.status, msgspec.json.encode(changed), name, Status.ARCHIVED),
        )
    return changed


def remove(connection: sqlite3.Connection, name: str) -> None:
    """Remove the session of a name, unless it is archived."""
    connection.execute("DELETE FROM agent_sessions WHERE name = ? AND status <> ?", (name, Status.ARCHIVED))


def find(connection: sqlite3.Connection, name: str) -> AgentSession:
    """Return the session of a name that isn't archived. Raises UnknownSession."""
    row = connection.execute(
        "SELECT session FROM agent_sessions WHERE name = ? AND status <> ?", (name, Status.ARCHIVED)
    ).fetchone()
    if row is None:
        raise UnknownSession(name=name)
    return msgspec.json.decode(row[0], type=AgentSession)


def listed(connection: sqlite3.Connection, *, archived: bool = True) -> list[AgentSession]:
    """Return the sessions of this host, oldest first: all, or those that aren't archived."""
    rows = connection.execute(
        "SELECT session FROM agent_sessions WHERE ?1 OR status <> ?2 ORDER BY number", (archived, Status.ARCHIVED)
    )
    return [msgspec.json.decode(text, type=AgentSession) for (text,) in rows]
