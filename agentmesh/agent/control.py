"""What this host's commands may ask of the agent, and the answers. One method a command."""

import os
from collections.abc import Awaitable, Callable, Mapping

from agentmesh.adapters.ipc import Request
from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.directory import Directory
from agentmesh.agent.links import Links
from agentmesh.agent.membership import Membership
from agentmesh.agent.replication import Replica
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.tasks import supervised
from agentmesh.config import Paths
from agentmesh.core.delivery import EXIT_CODES, State
from agentmesh.core.registry import entries
from agentmesh.core.text import printable
from agentmesh.errors import AgentmeshError, NotInPane, PaneGone, UnknownAddress, UsageError

Command = Callable[[Request, Answer], Awaitable[int]]
"""Does what the words of a request ask; returns the exit code."""


class Control:
    """Answers the commands of this host."""

    def __init__(
        self,
        paths: Paths,
        replica: Replica,
        scanner: Scanner,
        links: Links,
        directory: Directory,
        membership: Membership,
        more: Mapping[str, Command],
        stop: Callable[[], None],
    ) -> None:
        self._paths = paths
        self._replica = replica
        self._scanner = scanner
        self._links = links
        self._directory = directory
        self._membership = membership
        self._stop = stop
        self._commands: Mapping[str, Command] = {
            **more,
            "list": self._list,
            "show": self._show,
            "whoami": self._whoami,
            "sync": self._sync,
            "identify": self._identify,
            "register": self._register,
            "stop": self._stop_agent,
        }

    async def answer(self, request: Request, answer: Answer) -> int:
        """Do what a command asks; returns its exit code. An error is written for the person who reads it."""
        name = request.words[0] if request.words else ""
        command = self._commands.get(name, self._unknown)
        with supervised("command failed", command=name):
            try:
                return await command(request, answer)
            except AgentmeshError as error:
                await answer.write_error(f"{name}: {error}\n")
                return error.exit_code
        await answer.write_error(f"{name}: the agent met a fault of its own; see {self._paths.log}\n")
        return EXIT_CODES[State.UNCERTAIN]

    async def _unknown(self, _request: Request, _answer: Answer) -> int:
        raise UsageError(reason="This agent doesn't know that command; is it older?", program="agentmesh")

    async def _list(self, _: Request, answer: Answer) -> int:
        await answer.write_output(as_json(entries(self._replica.registry)))
        return 0

    async def _show(self, request: Request, answer: Answer) -> int:
        address = request.words[1] if len(request.words) > 1 else ""
        found = await self._directory.find(address, await self._directory.caller(request))
        await answer.write_output(as_json([match.pane for match in found]))
        return 0

    async def _whoami(self, request: Request, answer: Answer) -> int:
        caller = await self._directory.caller(request)
        await answer.write_output(f"{caller.name}\n")
        return 0

    async def _sync(self, _: Request, answer: Answer) -> int:
        """Read peers.conf and the pinned keys again, scan tmux, dial what is down, trade summaries with all."""
        peers = await self._membership.take_up_peers()
        await self._membership.take_up_keys()
        await self._scanner.scan()
        self._links.sync()
        await self._replica.write_files()
        await answer.write_output(as_json({"panes": len(self._replica.own.panes), "peers": len(peers)}))
        return 0

    async def _identify(self, request: Request, answer: Answer) -> int:
        """Set role, scope and handle of the caller's window, from words ``name=value``."""
        caller = await self._directory.caller(request)
        if caller.pane is None:
            raise NotInPane
        options = dict(word.split("=", 1) for word in request.words[1:] if "=" in word)
        server = self._scanner.server(caller.pane.server)
        await server.set_window_options(
            caller.pane.pane, {f"@agent-{name}": printable(value) for name, value in options.items()}
        )
        await self._scanner.scan()
        await answer.write_output(f"{(await self._directory.caller(request)).name}\n")
        return 0

    async def _register(self, request: Request, answer: Answer) -> int:
        """Register a session, or leave it out, whatever its name."""
        match request.words[1:]:
            case ["on" | "off" as state, session]:
                pass
            case _:
                raise UsageError(reason="Say on or off, and a session.", program="agent-register-hook")
        found = False
        for server in self._scanner.servers:
            if not server.runs():
                continue
            try:
                await server.set_session_option(session, "@agent-register", state)
            except PaneGone:
                continue
            found = True
        if not found:
            raise UnknownAddress(address=f"session {session}", hint="No such session runs here. ")
        await self._scanner.scan()
        await answer.write_output(f"{session} is {'registered' if state == 'on' else 'left out'}\n")
        return 0

    async def _stop_agent(self, _: Request, answer: Answer) -> int:
        await answer.write_output(f"{os.getpid()}\n")
        self._stop()
        return 0
