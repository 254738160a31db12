"""Watch the programs of sessions: note when one ends, and the conversation that it has begun. And compare all."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Collection
from contextlib import suppress

import msgspec

from agentmesh.adapters import process, tmux_panes
from agentmesh.agent.log import log
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.session_book import SessionBook, now
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.agent.session_recovery import SessionRecovery
from agentmesh.agent.tasks import first_of
from agentmesh.core.agent_session import AgentSession, signature
from agentmesh.core.drift import Drift, DriftClass, drifts
from agentmesh.core.session_request import News, NewsRequest
from agentmesh.errors import PaneGone, TmuxFailed, UnknownSession

LOOK_SECONDS = 1.0
"""How often it is looked."""
PAUSE_SECONDS = 0.1
"""How long after something was heard all is compared again: a program may rename its window without end."""
MOST_TOLD = 1000
"""Drifts that are kept for those who monitor."""
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
        scanner.on_change = self._stir
        self._stirred = asyncio.Event()
        self._run = uuid.uuid4().hex
        self._told: deque[Drift] = deque(maxlen=MOST_TOLD)
        self._count = 0
        """How many were put right in this run."""

    async def keep_watching(self) -> None:
        """Look again and again at what runs, and put its records right."""
        while True:
            await self._recovery.recover()
            if any(session.status == "running" for session in self._book.open):
                await self._apply(await self._compared(looks_for_lost=False), _BY_ITSELF)
            await asyncio.sleep(LOOK_SECONDS)

    async def reconcile(self, *, dry_run: bool) -> list[Drift]:
        """Compare records, tmux and disk, put the records right, unless it is a dry run; return what differed.

        Of several who find the same at once, the one whose transaction has put it right returns it.
        """
        await self._scanner.scan()
        found = [
            drift
            for drift in await self._compared(looks_for_lost=True)
            if not (self._book.has_work if drift.pane else self._book.is_in_work(drift.session))
        ]
        return found if dry_run else await self._apply(found, set(DriftClass))

    async def news(self, wanted: NewsRequest, gone: asyncio.Future[None]) -> News:
        """Compare all, and put the records right; return what was, by whomever, since the last question.

        Where nothing was, it is compared again whenever tmux changes, until the asker's patience is over, or he is
        ``gone``.
        """
        start = 0 if wanted.run else self._count
        beyond = wanted.beyond if wanted.run == self._run else start
        deadline = time.monotonic() + wanted.patience
        while True:
            stirred = self._stirred
            await self.reconcile(dry_run=False)
            left = deadline - time.monotonic()
            if self._count > beyond or left <= 0 or gone.done():
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await first_of(_calmed(stirred), asyncio.shield(gone))
        news = tuple(self._told)[-(self._count - beyond) :] if self._count > beyond else ()
        running = sum(session.status == "running" for session in self._book.open)
        return News(run=self._run, beyond=self._count, running=running, drifts=news)

    async def _compared(self, *, looks_for_lost: bool) -> list[Drift]:
        """Return what differs. For a record that was made meanwhile nothing was looked: it isn't compared."""
        recorded = self._book.open
        found = await self._eyes.found(recorded, looks_for_lost=looks_for_lost)
        known = {(one.server, one.pane) for one in self._book.open if one.status == "running"}
        return [
            drift
            for drift in drifts(recorded, found, now())
            if drift.pane is None or (drift.pane.server, drift.pane.pane) not in known
        ]

    def _stir(self) -> None:
        """Wake those who monitor."""
        self._stirred.set()
        self._stirred = asyncio.Event()

    async def _apply(self, found: list[Drift], classes: Collection[DriftClass]) -> list[Drift]:
        """Put right what is of these classes; return what nobody else has put right meanwhile."""
        applied = []
        for drift in found:
            if drift.drift_class not in classes or self._book.is_in_work(drift.session):
                continue
            log.info("session differs", **{"class": drift.drift_class}, session=drift.session, what=drift.what)
            if await (self._register(drift) if drift.pane else self._correct(drift)):
                applied.append(drift)
                self._told.append(drift)
                self._count += 1
                self._stir()
            if drift.drift_class is DriftClass.GONE and drift.before:
                await self._unframe(drift.before)
        return applied

    async def _correct(self, drift: Drift) -> bool:
        """Change what differs in a record, unless it has been changed otherwise meanwhile; tells whether it was."""
        is_changed = False

        def corrected(session: AgentSession) -> AgentSession:
            nonlocal is_changed
            if drift.before is None or session.updated != drift.before.updated or session.status != drift.before.status:
                return session
            changed = msgspec.structs.replace(session, **drift.changes)
            is_changed = changed != session
            return changed

        try:
            await self._book.change(drift.session, corrected)
        except UnknownSession:
            log.info("session is archived meanwhile", session=drift.session)
        return is_changed

    async def _unframe(self, session: AgentSession) -> None:
        """Take the border from the window of a pane that is gone, if that was its last; its server may be gone, too."""
        with suppress(PaneGone, TmuxFailed):
            await tmux_panes.unframe(self._eyes.server(session))

    async def _register(self, drift: Drift) -> bool:
        """Record the program in a pane; tells whether it was recorded."""
        pane = drift.pane
        found = process.read_process(self._scanner.in_front.get(pane.pid, 0)) if pane else None
        if pane is None or found is None:
            return False
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
        is_adopted = await self._book.adopt(session)
        if not is_adopted:
            log.info("session is registered meanwhile", session=drift.session)
        return is_adopted


async def _calmed(stirred: asyncio.Event) -> None:
    """Wait until something was heard, and a moment more."""
    await stirred.wait()
    await asyncio.sleep(PAUSE_SECONDS)
