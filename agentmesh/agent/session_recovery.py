"""Complete what a crash of the agent has cut off while it started a session's program."""

import asyncio

import msgspec

from agentmesh.adapters import process, tmux_panes
from agentmesh.agent.log import log
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.session_book import SessionBook, now
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.core.agent_session import AgentSession, Status, Step, after
from agentmesh.core.model import Pane

NEVER_STARTED = "the agent ended while it was being brought back"


class SessionRecovery:
    """A session is recorded before its program is started; the process is recorded after."""

    def __init__(self, book: SessionBook, eyes: SessionEyes, scanner: Scanner) -> None:
        self._book = book
        self._eyes = eyes
        self._scanner = scanner

    async def recover(self) -> None:
        """Record the programs that were started; forget the sessions whose program never was."""
        cut_off = [
            each
            for each in self._book.open
            if each.status is Status.RUNNING and not each.pid and not self._book.is_in_work(each.name)
        ]
        if cut_off:
            await self._scanner.scan()
        for session in cut_off:
            if session.server not in self._scanner.failures:
                with self._book.at_work(session.name):
                    await self._settle(session)

    async def _settle(self, session: AgentSession) -> None:
        pane = next((each for each in self._eyes.panes if _place(each) == (session.server, session.pane)), None)
        found = await asyncio.to_thread(process.read_process, pane.pid) if pane else None
        if pane and found and pane.handle == session.name:
            facts = {"pid": pane.pid, "started": process.started(pane.pid)}
            facts |= {"tmux_session": pane.session, "window": pane.window}
            await self._book.change(session.name, lambda one: msgspec.structs.replace(one, **facts))
            await tmux_panes.let_end(self._eyes.server(session), pane.pane)
            log.info("session was started by an agent that has ended since", session=session.name)
            return
        if pane and found and tmux_panes.waits(found.arguments):
            await tmux_panes.close(self._eyes.server(session), pane.pane)
        if session.tmux_session:
            await self._book.change(
                session.name, lambda one: after(one, Step.END, now(), last_visible_note=NEVER_STARTED)
            )
        else:
            await self._book.forget(session.name)
        log.info("session was never started", session=session.name)


def _place(pane: Pane) -> tuple[str, str]:
    return pane.server, pane.pane
