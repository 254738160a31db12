"""What is there of sessions: their panes, processes and conversations. Nothing is changed."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from agentmesh.adapters import process, process_tree
from agentmesh.adapters.conversations import Conversations
from agentmesh.adapters.tmux import TmuxServer
from agentmesh.agent.replication import Replica
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.sight import Sight
from agentmesh.agent.typist import Typist
from agentmesh.core.agent_session import AgentSession, Status, is_resumable, lifecycle
from agentmesh.core.conversation import own_conversation
from agentmesh.core.drift import Found
from agentmesh.core.model import Pane, Profile, SessionProfile
from agentmesh.core.session_request import SessionSight
from agentmesh.errors import AgentmeshError, PaneGone, UnknownProgram


class SessionEyes:
    """Looks at the panes and programs of sessions."""

    def __init__(self, profiles: Mapping[str, Profile], scanner: Scanner, replica: Replica, typist: Typist) -> None:
        self._profiles = profiles
        self._scanner = scanner
        self._replica = replica
        self._typist = typist
        self._conversations = Conversations()

    @property
    def panes(self) -> Sequence[Pane]:
        """The windows and panes of this host, as they are registered."""
        return self._replica.own.panes

    def profile(self, program: str, shell: str = "") -> tuple[Profile, SessionProfile]:
        """Return a program's profile, and its ``[session]``; ``shell`` is the person's own. Raises UnknownProgram."""
        name = shell.rpartition("/")[2] if program == "shell" else program
        found = self._profiles.get(name)
        if found is None and program == "shell":
            found = self._profiles["sh"]
        if found is None or found.session is None:
            known = sorted(each.name for each in self._profiles.values() if each.session)
            raise UnknownProgram(program=program, known=", ".join([*known, "shell"]))
        return found, found.session

    def server(self, session: AgentSession) -> TmuxServer:
        """Return the server in which a session is. Raises TmuxFailed."""
        return self._scanner.server(session.server)

    def pane(self, session: AgentSession) -> Pane:
        """Return the pane in which a session's program runs. Raises PaneGone."""
        for pane in self.panes:
            if (pane.server, pane.pane) == (session.server, session.pane):
                return pane
        raise PaneGone(pane=session.pane)

    async def look(self, session: AgentSession) -> Sight:
        """Look at a session's pane. Raises PaneGone, TmuxFailed."""
        return await self._typist.look(self.server(session), self.pane(session))

    async def see(self, session: AgentSession) -> SessionSight:
        """Return a session, and how it is just now."""
        stage = lifecycle(session)
        seen = SessionSight(session=session, is_resumable=is_resumable(session), lifecycle=stage)
        if session.status is not Status.RUNNING:
            return seen
        alive = process.started(session.pid) == session.started
        is_same = alive and await asyncio.to_thread(self._is_same, session)
        try:
            readiness, address = str((await self.look(session)).readiness), str(self.pane(session).address)
        except AgentmeshError:
            readiness, address = "", ""
        return msgspec.structs.replace(seen, address=address, readiness=readiness, alive=alive, is_same_command=is_same)

    async def found(self, sessions: Sequence[AgentSession], *, looks_for_lost: bool) -> Found:
        """Return what is there, by the last scan of tmux, the process table, and the disk."""
        alive = {each.pid: process.started(each.pid) for each in sessions if each.status is Status.RUNNING}
        appeared = await asyncio.to_thread(self._appeared, sessions)
        lost = await asyncio.to_thread(self._lost, sessions) if looks_for_lost else frozenset()
        return Found(
            panes=self._scanner.panes,
            programs=[pane for pane in self.panes if pane.pid in self._scanner.in_front],
            unasked=frozenset(self._scanner.failures),
            alive=alive,
            appeared=appeared,
            lost=lost,
        )

    async def conversation(self, session: AgentSession, others: Sequence[AgentSession]) -> str:
        """Return the conversation of a session that runs: as it is recorded, or as it is found now."""
        if session.conversation:
            return session.conversation
        return (await asyncio.to_thread(self._appeared, [session], others)).get(session.name, "")

    async def has_conversation(self, session: AgentSession) -> bool:
        """Tell whether a session's recorded conversation is on disk."""
        return not await asyncio.to_thread(self._lost, [session])

    def _appeared(self, sessions: Sequence[AgentSession], others: Sequence[AgentSession] = ()) -> dict[str, str]:
        told = {}
        for session in sessions:
            profile = self._session_profile(session)
            if session.conversation or session.status is not Status.RUNNING or profile is None:
                continue
            if found := self._conversations.find(profile, session.cwd):
                opened = process_tree.open_files(process_tree.tree(session.pid))
                if identifier := own_conversation(session, found, opened, [*sessions, *others]):
                    told[session.name] = identifier
        return told

    def _lost(self, sessions: Sequence[AgentSession]) -> frozenset[str]:
        lost = set()
        for session in sessions:
            profile = self._session_profile(session)
            if session.conversation and profile and profile.conversations:
                known = {one.id for one in self._conversations.find(profile, session.cwd)}
                if session.conversation not in known:
                    lost.add(session.name)
        return frozenset(lost)

    def _is_same(self, session: AgentSession) -> bool:
        """Tell whether the program that was started runs in the session's processes, by its name."""
        profile = self._profiles.get(session.program)
        if profile is None:
            return True
        found = filter(None, map(process.read_process, process_tree.tree(session.pid)))
        return any(name in profile.processes for each in found for name in process.names(each))

    def _session_profile(self, session: AgentSession) -> SessionProfile | None:
        profile = self._profiles.get(session.program)
        return profile.session if profile else None
