"""Records of sessions on disk: one of a name that isn't archived, and every change whole or not at all."""

import sqlite3
from collections.abc import Iterator

import pytest

from agentmesh.core.agent_session import Status, Step, after
from agentmesh.errors import SessionExists, SessionState, UnknownSession
from agentmesh.store import agent_sessions as store
from agentmesh.store.migrations import migrate
from tests.core.test_agent_session import a_session


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def test_a_name_is_free_again_once_its_session_is_archived(connection: sqlite3.Connection) -> None:
    store.add(connection, a_session())
    with pytest.raises(SessionExists):
        store.add(connection, a_session())
    for step in (Step.STOP, Step.ARCHIVE):
        store.change(connection, "worker", lambda session, step=step: after(session, step, 9))  # type: ignore[misc]
    with pytest.raises(UnknownSession):
        store.find(connection, "worker")
    store.add(connection, a_session(program="codex"))
    assert [session.status for session in store.listed(connection)] == [Status.ARCHIVED, Status.RUNNING]
    assert [session.program for session in store.listed(connection, archived=False)] == ["codex"]


def test_a_step_that_can_t_come_now_leaves_the_record_as_it_was(connection: sqlite3.Connection) -> None:
    store.add(connection, a_session())
    with pytest.raises(SessionState, match="agentmesh session stop worker"):
        store.change(connection, "worker", lambda session: after(session, Step.ARCHIVE, 9))
    assert store.find(connection, "worker") == a_session()


def test_what_is_found_in_a_pane_is_stored_unless_its_name_or_its_pane_is_taken(connection: sqlite3.Connection) -> None:
    assert store.adopt(connection, a_session(name="found", pane="%1"))
    assert not store.adopt(connection, a_session(name="found", pane="%2"))
    assert not store.adopt(connection, a_session(name="found-2", pane="%1"))
    assert store.adopt(connection, a_session(name="found-2", pane="%1", server="other"))
    store.change(connection, "found", lambda session: after(session, Step.STOP, 9))
    assert store.adopt(connection, a_session(name="found-3", pane="%1"))
