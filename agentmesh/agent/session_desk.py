"""What this host's commands ask about sessions."""

from collections.abc import Awaitable, Callable

import msgspec

from agentmesh.adapters.ipc import Request
from agentmesh.adapters.tmux import socket_folder
from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.directory import Directory
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.session_book import SessionBook, now
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.agent.session_identity import SessionIdentity
from agentmesh.agent.session_life import SessionLife
from agentmesh.agent.session_start import SessionStart
from agentmesh.agent.session_stop import SessionStop
from agentmesh.agent.session_watch import SessionWatch
from agentmesh.core.agent_session import AgentSession, Step, after
from agentmesh.core.session_request import Creation, Ending, Place, Return
from agentmesh.errors import TmuxFailed

PROMPT_PATIENCE = "60s"
"""How long a first message may wait: some programs still draw after they were seen to be ready."""

Send = Callable[[Request, Answer], Awaitable[int]]
"""Runs notify-pane."""


class SessionDesk:
    """Hands each question to who answers it."""

    def __init__(
        self,
        book: SessionBook,
        eyes: SessionEyes,
        start: SessionStart,
        identity: SessionIdentity,
        stop: SessionStop,
        watch: SessionWatch,
        life: SessionLife,
        scanner: Scanner,
        directory: Directory,
        send: Send,
    ) -> None:
        self._book = book
        self._eyes = eyes
        self._start = start
        self._identity = identity
        self._stop = stop
        self._watch = watch
        self._life = life
        self._scanner = scanner
        self._directory = directory
        self._send = send

    async def run(self, request: Request, answer: Answer) -> int:
        """Do what the words after ``session`` ask; returns the exit code. Raises AgentmeshError."""
        match request.words[1:]:
            case ["place", name, *workspace]:
                await answer.write_output(as_json(await self._place(name, "".join(workspace), request)))
            case ["create", text]:
                return await self._create(msgspec.json.decode(text, type=Creation), request, answer)
            case ["resume", text]:
                wanted = msgspec.json.decode(text, type=Return)
                purged = (await self._book.find(wanted.name)).purged
                session = await self._start.resume(wanted)
                anew = "; its conversation was removed, so it begins anew" if purged else ""
                await answer.write_output(f"{session.name}: {self._described(session)}{anew}\n")
            case ["stop", text]:
                session = await self._stop.stop(msgspec.json.decode(text, type=Ending))
                await answer.write_output(f"{session.name}: stopped by {session.termination_mode}{_kept(session)}\n")
            case ["archive", name]:
                await self._book.change(name, lambda session: after(session, Step.ARCHIVE, now()))
                await answer.write_output(f"{name}: archived\n")
            case ["status"]:
                await self._scanner.scan()
                seen = [await self._eyes.see(session) for session in await self._book.listed()]
                await answer.write_output(as_json(seen))
            case ["reconcile", how]:
                told = await self._watch.reconcile(dry_run=how == "dry-run")
                await answer.write_output(as_json(told))
            case _:
                await self._life.run(request, answer)
        return 0

    async def _create(self, wanted: Creation, request: Request, answer: Answer) -> int:
        caller = await self._directory.caller(request)
        session = await self._start.create(wanted, caller)
        await answer.write_output(f"{session.name}: {self._described(session)}\n")
        if complaint := await self._identity.introduce(session):
            await answer.write_error(f"agentmesh: {complaint}\n")
        if not wanted.prompt:
            return 0
        words = ["notify-pane", f"--wait={PROMPT_PATIENCE}", "--", self._eyes.pane(session).address, wanted.prompt]
        return await self._send(msgspec.structs.replace(request, words=words), answer)

    def _described(self, session: AgentSession) -> str:
        return f"{session.program} is ready in {self._eyes.pane(session).address}, process {session.pid}"

    async def _place(self, name: str, workspace: str, request: Request) -> Place:
        """Return the server in which a session of its own is opened, or that of a session that is known."""
        caller = await self._directory.caller(request)
        known = next((session.server for session in self._book.open if session.name == name), "")
        server = workspace or known or (caller.pane.server if caller.pane else "default")
        try:
            found = self._scanner.server(server)
        except TmuxFailed:
            return Place(socket=str(socket_folder() / server), runs=False)
        return Place(socket=str(found.path), runs=found.runs())


def _kept(session: AgentSession) -> str:
    return f"; its conversation is {session.conversation}" if session.conversation else ""
