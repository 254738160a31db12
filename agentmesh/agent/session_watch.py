"""Watch the programs of sessions: note when one ends, and the conversation that it has begun. And compare all."""

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress

import msgspec

from agentmesh.adapters import process, tmux_panes
from agentmesh.agent.log import log
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.session_book import SessionBook, now
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.agent.session_recovery import SessionRecovery
from agentmesh.core.agent_session import AgentSession, signature
from agentmesh.core.drift import Drift, DriftClass, drifts
from agentmesh.errors import PaneGone, SessionExists, TmuxFailed, UnknownSession

LOOK_SECONDS = 1.0
"""How often it is looked."""
_BY_ITSELF = {DriftClass.GONE, DriftClass.APPEARED}
"""What is put right without being asked for: who has a program of their own in a pane may want no record of it."""


class SessionWatch:
    """Puts records right; touches no program, no pane and no conversation."""

    def __init__(
        self, alias: str, book: SessionBook, eyes: SessionEyes, scanner: Scanner, recovery: SessionRecovery
    ) -> None:
        self._alias = alias
        self._book = book
        self._eyes = eyes
        self._scanner = scanner
        self._recovery = recovery

    async def keep_watching(self) -> None:
        """Look again and again at what runs, and put its records right."""
        while True:
            await self._recovery.recover()
            if any(session.status == "running" for session in self._book.open):
                found = await self._eyes.found(self._book.open, looks_for_lost=False)
                await self._apply(drifts(self._book.open, found, now()), _BY_ITSELF)
            await asyncio.sleep(LOOK_SECONDS)

    async def reconcile(self, *, dry_run: bool) -> list[Drift]:
        """Compare records, tmux and disk, put the records right, unless it is a dry run; return what differed."""
        await self._scanner.scan()
        found = await self._eyes.found(self._book.open, looks_for_lost=True)
        told = [drift for drift in drifts(self._book.open, found, now()) if not self._book.is_in_work(drift.session)]
        if not dry_run:
            await self._apply(told, set(DriftClass))
        return told

    async def _apply(self, told: list[Drift], classes: Collection[DriftClass]) -> None:
        for drift in told:
            if drift.drift_class not in classes or self._book.is_in_work(drift.session):
                continue
            log.info("session differs", **{"class": drift.drift_class}, session=drift.session, what=drift.what)
            if drift.pane is not None:
                await self._register(drift)
            else:
                await self._correct(drift)
                if drift.drift_class is DriftClass.GONE and drift.before:
                    await self._unframe(drift.before)

    async def _correct(self, drift: Drift) -> None:
        """Change what differs in a record, unless it has been changed otherwise meanwhile."""

        def corrected(session: AgentSession) -> AgentSession:
            if drift.before is None or session.updated != drift.before.updated or session.status != drift.before.status:
                return session
            return msgspec.structs.replace(session, **drift.changes)

        try:
            await self._book.change(drift.session, corrected)
        except UnknownSession:
            log.info("session is archived meanwhile", session=drift.session)

    async def _unframe(self, session: AgentSession) -> None:
        """Take the border from the window of a pane that is gone, if that was its last; its server may be gone, too."""
        with suppress(PaneGone, TmuxFailed):
            await tmux_panes.unframe(self._eyes.server(session))

    async def _register(self, drift: Drift) -> None:
        pane = drift.pane
        found = process.read_process(self._scanner.in_front.get(pane.pid, 0)) if pane else None
        if pane is None or found is None:
            return
        session = AgentSession(
            name=drift.session,
            host=self._alias,
            program=pane.program,
            cwd=pane.cwd,
            argv=found.arguments,
            signature=signature(found.arguments),
            server=pane.server,
            tmux_session=pane.session,
            window=pane.window,
            pane=pane.pane,
            pid=found.pid,
            started=process.started(found.pid),
            last_visible_note="auto-registered",
            role=pane.role,
            scope=pane.scope,
            created=now(),
            begun=time.time(),
            acted=0,
            updated=now(),
        )
        try:
            await self._book.add(session)
        except SessionExists:
            log.info("session is registered meanwhile", session=drift.session)
