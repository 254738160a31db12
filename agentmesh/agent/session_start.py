"""Start a session's program in a pane of its own, and wait until it takes input; or bring it back."""

import asyncio
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from agentmesh.adapters import process, tmux_panes
from agentmesh.adapters.tmux import TmuxServer
from agentmesh.agent.directory import Caller
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.session_book import SessionBook, now
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.agent.session_identity import role_color
from agentmesh.agent.session_rooms import Room, SessionRooms
from agentmesh.agent.sight import Sight
from agentmesh.core.agent_session import AgentSession, Step, Termination, after, signature
from agentmesh.core.model import Profile
from agentmesh.core.readiness import Readiness
from agentmesh.core.screen import last_lines
from agentmesh.core.session_request import Creation, Return
from agentmesh.core.text import printable, without_controls
from agentmesh.errors import (
    AgentmeshError,
    CrashedAtStart,
    NoConversation,
    NotReady,
    PaneGone,
    ProgramNotFound,
    ReadyTimeout,
    SessionLost,
    UsageError,
)

READY_SECONDS = 60.0
"""How long a program may take to its first empty input box: the slowest take half of that on a busy machine."""
ASKS_SECONDS = 1.0
"""How long a question must stand before it is told: a screen that is half drawn may look like one."""
LOOK_SECONDS = 0.1
SHOWN_LINES = 12
PROGRAM = "agentmesh session"
_ASKS = {Readiness.DIALOG, Readiness.PASSWORD}
_READY = {"box": {Readiness.EMPTY_BOX}, "shell": {Readiness.SHELL, Readiness.READS_LINES}, "repl": {Readiness.REPL}}
_REMEDY = "Look at it, and answer there: agentmesh session attach {name}."


class SessionStart:
    """Answers no question that a program asks: it shows what stands in the way."""

    def __init__(self, alias: str, book: SessionBook, eyes: SessionEyes, scanner: Scanner, rooms: SessionRooms) -> None:
        self._alias = alias
        self._book = book
        self._eyes = eyes
        self._scanner = scanner
        self._rooms = rooms

    async def create(self, wanted: Creation, caller: Caller) -> AgentSession:
        """Start a new session; returns it when it takes input.

        Raises CrashedAtStart, and then there is no session; NotReady, and then there is one, which is shown; and what
        else keeps it from being started.
        """
        profile, words = self._eyes.profile(wanted.program, wanted.shell)
        if not await asyncio.to_thread(Path(wanted.cwd).is_dir):
            raise UsageError(reason=f"{wanted.cwd} is no folder.", program=f"{PROGRAM} create")
        argv = _argv((*words.launch, *wanted.arguments), str(uuid.uuid4()), wanted.path)
        with self._book.at_work(wanted.name):
            await self._book.check_free(wanted.name)
            room = await self._rooms.open(wanted, profile.name, caller)
            draft = AgentSession(
                name=wanted.name,
                host=self._alias,
                program=profile.name,
                cwd=wanted.cwd,
                argv=argv,
                arguments=wanted.arguments,
                signature=signature(argv),
                server=room.server.name,
                workspace=room.workspace,
                tmux_session="",
                window="",
                pane=room.pane,
                pid=0,
                started="",
                role=printable(wanted.role),
                scope=printable(wanted.scope),
                created=now(),
                begun=time.time(),
                acted=now(),
                updated=now(),
            )
            await self._book.add(draft)  # first: a crash of the agent leaves no program that no record has
            try:
                session = await self._begin(draft, room)
            except AgentmeshError:
                await self._book.forget(draft.name)
                raise
            await self._book.change(session.name, lambda _: session)
            try:
                await self._until_ready(session, room.server, profile)
            except CrashedAtStart:
                await self._book.forget(session.name)
                raise
        return session

    async def resume(self, wanted: Return) -> AgentSession:
        """Bring a session back, with its conversation, where it was; returns it when it takes input.

        Raises SessionState, NoConversation, SessionLost, and what `create` raises.
        """
        with self._book.at_work(wanted.name):
            found = await self._book.find(wanted.name)
            after(found, Step.RESUME, now())  # or it is said before anything is started
            profile, words = self._eyes.profile(found.program)
            if words.resume and not found.conversation and not found.purged:
                raise NoConversation(name=found.name)
            if words.resume and found.conversation and not await self._eyes.has_conversation(found):
                raise SessionLost(name=found.name, conversation=found.conversation)
            begin = words.resume if found.conversation and words.resume else words.launch
            argv = _argv((*begin, *found.arguments), found.conversation or str(uuid.uuid4()), wanted.path)
            room = await self._rooms.open_again(found, wanted.path)
            draft = after(
                found,
                Step.RESUME,
                now(),
                argv=argv,
                signature=signature(argv),
                pane=room.pane,
                pid=0,
                started="",
                begun=time.time(),
                ready=0.0,
                missed="",
                last_visible_note="",
                termination_mode=Termination.NONE,
            )
            await self._book.change(found.name, lambda _: draft)
            try:
                session = await self._begin(draft, room)
            except AgentmeshError:
                await self._book.change(found.name, lambda _: found)
                raise
            await self._book.change(found.name, lambda _: session)
            try:
                await self._until_ready(session, room.server, profile)
            except CrashedAtStart:
                note = "it has ended as soon as it was brought back"
                await self._book.change(found.name, lambda one: after(one, Step.END, now(), last_visible_note=note))
                raise
        return session

    async def _begin(self, draft: AgentSession, room: Room) -> AgentSession:
        """Start the program in its pane; returns the record, with what is known of both."""
        server = room.server
        options = {"@agent-name": draft.name, "@agent-color": role_color(draft)}
        options |= {f"@agent-{name}": text for name in ("role", "scope") if (text := getattr(draft, name))}
        try:
            await tmux_panes.start(server, draft.pane, draft.cwd, draft.argv, room.environment, options)
            facts = await server.look(draft.pane)
            await self._scanner.scan()
            pane = next(
                pane
                for pane in self._eyes.panes
                if (pane.server, pane.pane, pane.pid) == (server.name, draft.pane, facts.pid)
            )
        except StopIteration:
            await tmux_panes.close(server, draft.pane)
            reason = "Its tmux session is left out of the registry; see `agent-register-hook`."
            raise UsageError(reason=reason, program=f"{PROGRAM} create") from None
        except AgentmeshError:
            await tmux_panes.close(server, draft.pane)
            raise
        return msgspec.structs.replace(
            draft,
            tmux_session=pane.session,
            window=pane.window,
            pid=facts.pid,
            started=process.started(facts.pid),
        )

    async def _until_ready(self, session: AgentSession, server: TmuxServer, profile: Profile) -> None:
        """Wait until the program takes input. Raises NotReady, ReadyTimeout; CrashedAtStart, its pane closed."""
        until, asks_since = time.monotonic() + READY_SECONDS, None
        while True:
            sight = await self._look(session, server, profile)
            if sight.readiness in _READY[profile.kind] and sight.profile is profile:
                break
            moment = time.monotonic()
            asks_since = (asks_since or moment) if sight.readiness in _ASKS else None
            told = {
                "name": session.name,
                "readiness": sight.readiness,
                "remedy": _REMEDY.format(name=session.name),
                "lines": shown(last_lines(sight.facts, SHOWN_LINES)),
            }
            if asks_since and moment - asks_since > ASKS_SECONDS:
                await tmux_panes.let_end(server, session.pane)
                raise NotReady(**told)
            if moment > until:
                await tmux_panes.let_end(server, session.pane)
                raise ReadyTimeout(**told, seconds=READY_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)
        await tmux_panes.let_end(server, session.pane)
        await self._book.change(session.name, lambda one: msgspec.structs.replace(one, ready=time.time()))

    async def _look(self, session: AgentSession, server: TmuxServer, profile: Profile) -> Sight:
        """Look at the pane. Raises CrashedAtStart where the program has ended; then the pane is closed."""
        try:
            sight = await self._eyes.look(session)
        except PaneGone:
            raise CrashedAtStart(program=profile.title, lines="\n  | (its pane is gone, too)") from None
        if sight.facts.dead:
            # A pane that stays is scrolled by tmux itself, and gets a row that says so.
            facts = await server.look(session.pane, SHOWN_LINES)
            await tmux_panes.close(server, session.pane)
            lines = [line for line in last_lines(facts, SHOWN_LINES + 1) if not line.startswith("Pane is dead")]
            raise CrashedAtStart(program=profile.title, lines=shown(lines) or "\n  | (none)")
        return sight


def shown(lines: Iterable[str]) -> str:
    """Return the lines of a screen as they stand below a sentence."""
    return "".join(f"\n  | {without_controls(line)}" for line in lines)


def _argv(words: Sequence[str], conversation: str, path: str) -> tuple[str, ...]:
    """Return what is started, the program by its path. Raises ProgramNotFound."""
    name, *rest = (word.replace("{conversation}", conversation) for word in words)
    program = shutil.which(name, path=path)
    if program is None:
        raise ProgramNotFound(program=name)
    return (os.path.abspath(program), *rest)  # noqa: PTH100 (a link's own name counts)
