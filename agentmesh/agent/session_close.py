"""Close the session of a worker that has done its work: its report came, its jobs are done, what was said is saved."""

from contextlib import suppress

import msgspec

from agentmesh.adapters.ipc import Request
from agentmesh.agent.directory import Directory
from agentmesh.agent.errands import Errands
from agentmesh.agent.reports import LAST_WORDS
from agentmesh.agent.session_book import SessionBook, now
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.agent.session_stop import SessionStop
from agentmesh.agent.workers import Workers
from agentmesh.core.agent_session import AgentSession, Status, Step, after
from agentmesh.core.errand import Watch
from agentmesh.core.event import Event
from agentmesh.core.job import is_end
from agentmesh.core.model import Pane, UnixTime
from agentmesh.core.session_request import Ending
from agentmesh.errors import (
    AgentmeshError,
    NotClosable,
    NothingToClose,
    NotInSession,
    PaneGone,
    UnknownJob,
    UnknownSession,
    Unreachable,
)


class SessionClose:
    """Ends no program whose worker has not said that it may be."""

    def __init__(
        self,
        book: SessionBook,
        eyes: SessionEyes,
        stop: SessionStop,
        directory: Directory,
        errands: Errands,
        workers: Workers,
    ) -> None:
        self._book = book
        self._eyes = eyes
        self._stop = stop
        self._directory = directory
        self._errands = errands
        self._workers = workers
        errands.on_completed = self.note_completed

    async def take_report(self, request: Request) -> AgentSession:
        """Record that the worker in whose pane the command runs may be closed. Raises NotInSession."""
        caller = await self._directory.caller(request)
        session = self._session_in(caller.pane)
        if session is None:
            raise NotInSession
        return await self._note(session)

    async def note_completed(self, pane: Pane | None, moment: UnixTime) -> None:
        """Record that the worker in a pane has completed a job, as that job's home accepts it.

        What it has said before it was brought back is no report of what it does now.
        """
        if (session := self._session_in(pane)) and session.begun < moment + 1:
            with suppress(UnknownSession):  # it is archived meanwhile
                await self._note(session)

    async def close(self, wanted: Ending, *, ended: str = "") -> AgentSession:
        """Stop a session whose worker is done; returns its record. ``ended``: a job that is known to have ended.

        Raises NotClosable, with nothing sent, where something is missing, unless that is forced; and what a stop does.
        """
        session = await self._book.find(wanted.name)
        after(session, Step.STOP, now())  # or it is said before anything else
        if not wanted.force and (missing := await self._missing(session, ended)):
            raise NotClosable(name=session.name, missing="; ".join(missing))
        return await self._stop.stop(wanted)

    async def close_worker_of(self, job: str, overheard: str = "") -> AgentSession:
        """Close the session of the worker of a job that has ended, by the word of the job's home.

        While that can't be reached, an end that was ``overheard``, and is genuine, stands for it.
        Raises NothingToClose, and what `close` raises.
        """
        try:
            found = (await self._errands.watch(Watch(job=job))).job
        except Unreachable:
            if not overheard:
                raise
            return await self._close_by(await self._errands.overhearing.end(overheard))
        for holds, reason in (
            (is_end(found.state), f"it is {found.state}"),
            (found.is_signed, "its events aren't signed, so anybody may have ended it"),
            (bool(found.worker), "nobody has claimed it"),
        ):
            if not holds:
                raise NothingToClose(job=found.id, reason=reason)
        session = self._session_of(found.worker)
        if session is None or found.worker_host != session.host:
            raise NothingToClose(job=found.id, reason=f"its worker, {found.worker}, is in none")
        return await self.close(Ending(name=session.name))

    async def _close_by(self, end: Event) -> AgentSession:
        """Close the session of the worker of a job by a genuine event."""
        worker = end.sender if end.type in LAST_WORDS else self._workers.worker_of(end.job)
        session = self._session_of(worker)
        if session is None:
            reason = f"its worker, {worker}, is in none" if worker else "nobody of this host has claimed it"
            raise NothingToClose(job=end.job, reason=reason)
        return await self.close(Ending(name=session.name), ended=end.job)

    async def _missing(self, session: AgentSession, ended: str) -> list[str]:
        """Return what has to come before a session may be closed, and from whom."""
        missing = []
        if not session.reported:
            missing.append("its report has not come (it says `agentmesh session ready-to-close`, or completes its job)")
        jobs = await self._errands.unended_jobs(self._addresses(session))
        missing += filter(None, [await self._open(job) for job in jobs if job != ended])
        _, words = self._eyes.profile(session.program)
        others = [each for each in self._book.open if each.name != session.name]
        if words.conversations and not await self._eyes.conversation(session, others):
            missing.append("its conversation is not saved yet, so it could not be brought back")
        return missing

    async def _open(self, job: str) -> str:
        """Return why a job isn't known to have ended; empty when it has."""
        try:
            found = (await self._errands.watch(Watch(job=job))).job
        except UnknownJob:
            return ""
        except AgentmeshError as error:
            return f"whether its job {job} is done is not known ({error})"
        return "" if is_end(found.state) else f"its job {job} is {found.state} (see `agentmesh job show {job}`)"

    async def _note(self, session: AgentSession) -> AgentSession:
        return await self._book.change(
            session.name, lambda one: msgspec.structs.replace(one, reported=now(), updated=now())
        )

    def _running(self) -> list[AgentSession]:
        return [session for session in self._book.open if session.status is Status.RUNNING]

    def _session_in(self, pane: Pane | None) -> AgentSession | None:
        if pane is None:
            return None
        place = (pane.server, pane.pane)
        return next((one for one in self._running() if (one.server, one.pane) == place), None)

    def _session_of(self, worker: str) -> AgentSession | None:
        return next((one for one in self._running() if worker in self._addresses(one)), None)

    def _addresses(self, session: AgentSession) -> list[str]:
        try:
            return self._directory.addresses_of(self._eyes.pane(session))
        except PaneGone:
            return []
