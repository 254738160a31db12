"""The records of this host's sessions: in the database, and as a file for people and scripts."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agentmesh.adapters.files import replace
from agentmesh.adapters.session_view import defect, render_sessions
from agentmesh.agent.log import log
from agentmesh.core.agent_session import AgentSession, Status
from agentmesh.errors import SessionExists, SessionInWork, UnknownSession
from agentmesh.store import agent_sessions as store
from agentmesh.store.database import Database


class SessionBook:
    """Whoever changes a record does it here: then the file follows."""

    def __init__(self, view: Path, database: Database) -> None:
        self._view = view
        self._database = database
        self._writing = asyncio.Lock()
        self._in_work: set[str] = set()
        self.open: list[AgentSession] = []
        """Those that aren't archived, as they are recorded."""

    async def recover(self) -> None:
        """Take up the records; make the file anew from them, and keep one aside that can't be read."""
        if reason := await asyncio.to_thread(defect, self._view):
            moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            aside = self._view.with_name(f"{self._view.name}.corrupt-{moment}")
            await asyncio.to_thread(self._view.rename, aside)
            log.warning("agent-sessions.toml can't be read: made anew from the database", aside=aside, reason=reason)
        await self._changed()

    @contextmanager
    def at_work(self, name: str) -> Iterator[None]:
        """Keep everybody else, and what watches, from a session meanwhile. Raises SessionInWork."""
        if name in self._in_work:
            raise SessionInWork(name=name)
        self._in_work.add(name)
        try:
            yield
        finally:
            self._in_work.discard(name)

    def is_in_work(self, name: str) -> bool:
        """Tell whether a command is at work on a session."""
        return name in self._in_work

    @property
    def has_work(self) -> bool:
        """Whether a command is at work on any: a pane may belong to a session that is recorded in a moment."""
        return bool(self._in_work)

    async def listed(self) -> list[AgentSession]:
        """Return all, archived ones too, oldest first."""
        return await self._database.write(store.listed)

    async def find(self, name: str) -> AgentSession:
        """Return the session of a name. Raises UnknownSession."""
        return await self._database.write(store.find, name)

    async def check_free(self, name: str) -> None:
        """Raise SessionExists where a session of this name is not archived."""
        try:
            await self.find(name)
        except UnknownSession:
            return
        raise SessionExists(name=name)

    async def add(self, session: AgentSession) -> AgentSession:
        """Record a new session. Raises SessionExists."""
        await self._database.write(store.add, session)
        await self._changed()
        return session

    async def adopt(self, session: AgentSession) -> bool:
        """Record what was found running in a pane; tells whether it was: a record may have its name, or its pane."""
        is_adopted = await self._database.write(store.adopt, session)
        await self._changed()
        return is_adopted

    async def change(self, name: str, step: Callable[[AgentSession], AgentSession]) -> AgentSession:
        """Change a record, and return it as it is then. Raises UnknownSession, and what the step raises."""
        session = await self._database.write(store.change, name, step)
        await self._changed()
        return session

    async def forget(self, name: str) -> None:
        """Forget a session that has never been: its program has ended at its start."""
        await self._database.write(store.remove, name)
        await self._changed()

    async def _changed(self) -> None:
        async with self._writing:
            every = await self._database.write(store.listed)
            self.open = [session for session in every if session.status is not Status.ARCHIVED]
            try:
                await asyncio.to_thread(replace, self._view, render_sessions(every))
            except OSError as error:
                log.error("agent-sessions.toml can't be written", reason=error)


def now() -> int:
    """Return the time as records have it."""
    return int(time.time())
