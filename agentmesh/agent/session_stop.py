"""Stop a session's program: by its own exit command, then by signals to all that it has started; then its pane."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress

import msgspec

from agentmesh.adapters import process, process_tree, tmux_panes
from agentmesh.adapters.process_tree import Tree
from agentmesh.agent.log import log
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.session_book import SessionBook, now
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.agent.session_start import SHOWN_LINES, shown
from agentmesh.agent.sight import Sight
from agentmesh.agent.turns import Turns, queue_name
from agentmesh.agent.typist import Typist
from agentmesh.core.agent_session import AgentSession, Step, Termination, after
from agentmesh.core.readiness import Readiness
from agentmesh.core.screen import last_lines
from agentmesh.core.session_request import Ending
from agentmesh.errors import PaneGone, ProcessStays, SessionBusy, TmuxFailed

EXIT_SECONDS = 5.0
"""How long a program may take to end after its exit command: some save their conversation then."""
TERM_SECONDS = 3.0
"""How long what is left may take after the signal that asks for an end."""
KILL_SECONDS = 5.0
LINGER_SECONDS = 0.5
"""How long what a program has started may outlive it, before it is told to end, too."""
_LOOK_SECONDS = 0.05
_AT_REST = {
    "box": {Readiness.EMPTY_BOX},
    "shell": {Readiness.SHELL, Readiness.READS_LINES, Readiness.EXITED},
    "repl": {Readiness.REPL},
}


class SessionStop:
    """Ends a session's program, and nothing else."""

    def __init__(self, book: SessionBook, eyes: SessionEyes, scanner: Scanner, turns: Turns, typist: Typist) -> None:
        self._book = book
        self._eyes = eyes
        self._scanner = scanner
        self._turns = turns
        self._typist = typist

    async def stop(self, wanted: Ending) -> AgentSession:
        """Stop a session; returns its record when all of it has ended.

        Raises SessionBusy, with nothing sent, where a draft or work would be lost, unless that may be; SessionState;
        ProcessStays.
        """
        with self._book.at_work(wanted.name):
            session = await self._book.find(wanted.name)
            after(session, Step.STOP, now())  # or it is said before anything is sent
            processes = self._tree(session)
            sight = await self._rested(session, forced=wanted.force) if processes else None
            others = [each for each in self._book.open if each.name != session.name]
            conversation = await self._eyes.conversation(session, others)
            await self._book.change(session.name, lambda one: _with(one, conversation=conversation, stopping=True))
            how = await self._end(session, sight, processes)
            await self._close(session)
            # A program may write its conversation at its end alone.
            return await self._book.change(
                session.name,
                lambda one: after(one, Step.STOP, now(), termination_mode=how, last_visible_note="", stopping=False),
            )

    def _tree(self, session: AgentSession) -> Tree:
        """Return the session's processes; none where its program isn't there any more."""
        if process.started(session.pid) != session.started:
            return {}
        return process_tree.tree(session.pid, self._eyes.profile(session.program)[1].shared)

    async def _rested(self, session: AgentSession, *, forced: bool) -> Sight | None:
        """Return the pane as it is, where nothing would be lost by an end; None where its look doesn't count."""
        profile, _ = self._eyes.profile(session.program)
        try:
            sight = await self._eyes.look(session)
        except PaneGone:
            return None
        if sight.readiness in _AT_REST[profile.kind]:
            return sight
        if forced:
            return None
        lines = shown(last_lines(sight.facts, SHOWN_LINES))
        raise SessionBusy(name=session.name, readiness=sight.readiness, lines=lines)

    async def _end(self, session: AgentSession, sight: Sight | None, processes: Tree) -> Termination:
        """End a program, and what it has started; returns what it took. Raises ProcessStays."""
        profile, words = self._eyes.profile(session.program)
        how = Termination.SIGNAL
        if words.exit and sight and await self._leave(session, words.exit):
            how = Termination.EXIT_COMMAND
            await _until(lambda: not process_tree.living(processes), LINGER_SECONDS)
        processes |= self._tree(session)
        if process_tree.living(processes):
            # An interactive shell ignores the usual one, and tells its jobs of a terminal that is gone.
            process_tree.send_signal(processes, signal.SIGHUP if profile.kind == "shell" else signal.SIGTERM)
            await _until(lambda: not process_tree.living(processes), TERM_SECONDS)
        if process_tree.living(processes):
            process_tree.send_signal(processes, signal.SIGKILL)
            await _until(lambda: not process_tree.living(processes), KILL_SECONDS)
            how = Termination.KILLED
        if left := process_tree.living(processes):
            raise ProcessStays(name=session.name, count=len(left), pids=", ".join(map(str, left)))
        log.info("session stopped", session=session.name, how=how)
        return how

    async def _leave(self, session: AgentSession, command: str) -> bool:
        """Submit the exit command; tells whether the program has ended by it."""
        pane, server = self._eyes.pane(session), self._eyes.server(session)
        ended = asyncio.ensure_future(process.until_ended(session.pid))

        async def submit() -> None:
            async with self._turns.alone(queue_name(pane)):
                receipt = await self._typist.command(command, server, pane)
                log.info("exit command given", session=session.name, state=receipt.state, detail=receipt.detail)

        submitting = asyncio.ensure_future(submit())
        try:
            await asyncio.wait({ended, submitting}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({ended}, timeout=EXIT_SECONDS)
            return ended.done()
        finally:
            for task in (ended, submitting):
                task.cancel()
            with suppress(asyncio.CancelledError, PaneGone, TmuxFailed):
                await submitting  # it meets a pane that is gone

    async def _close(self, session: AgentSession) -> None:
        """Close the pane, if it is there and still the session's."""
        try:
            server = self._eyes.server(session)
            if (await server.look(session.pane)).pid == session.pid:
                await tmux_panes.close(server, session.pane)
        except (PaneGone, TmuxFailed):
            pass  # it has closed by itself, and perhaps its server with it
        with suppress(PaneGone, TmuxFailed):
            await tmux_panes.unframe(self._eyes.server(session))
        await self._scanner.scan()


def _with(session: AgentSession, **facts: object) -> AgentSession:
    return msgspec.structs.replace(session, **facts)


async def _until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition holds, so long at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 (no event tells of processes that aren't our children)
                await asyncio.sleep(_LOOK_SECONDS)
