"""What this host's commands may ask of the agent, and the answers. One method a command."""

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import msgspec

from agentmesh import __version__
from agentmesh.adapters import process
from agentmesh.adapters.files import Outgoing
from agentmesh.adapters.ipc import Request
from agentmesh.agent import arguments
from agentmesh.agent.arguments import Words
from agentmesh.agent.links import Links
from agentmesh.agent.log import log
from agentmesh.agent.postman import Postman
from agentmesh.agent.replication import Replica
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.tasks import supervised
from agentmesh.config import Paths, load_peers
from agentmesh.core.delivery import EXIT_CODES, State
from agentmesh.core.drop import announcement
from agentmesh.core.model import Message, Pane, Receipt
from agentmesh.core.registry import Match, entries, resolve
from agentmesh.core.text import LARGEST_BODY, check_body, without_controls
from agentmesh.errors import AgentmeshError, BadBody, NotInPane, PaneGone, UnknownAddress, Unreachable, UsageError

LONGEST_NAME = 120
"""Characters of a sender's name that are shown."""


class Answer(Protocol):
    """The way back to the command that asked."""

    async def write_output(self, text: str) -> None:
        """Write to the command's standard output."""

    async def write_error(self, text: str) -> None:
        """Write to the command's standard error."""

    async def read_input(self, largest: int) -> bytes:
        """Return the command's standard input, or its first ``largest`` bytes and one more."""


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the pane that the calling process runs in, and the name to show."""

    pane: Pane | None
    name: str


class Control:
    """Answers the commands of this host."""

    def __init__(
        self,
        paths: Paths,
        alias: str,
        replica: Replica,
        scanner: Scanner,
        links: Links,
        postman: Postman,
        stop: Callable[[], None],
    ) -> None:
        self._paths = paths
        self._alias = alias
        self._replica = replica
        self._scanner = scanner
        self._links = links
        self._postman = postman
        self._stop = stop
        self.listening = ""
        """The address of the agent's own SSH listener; empty without one."""
        self._commands: Mapping[str, Callable[[Request, Answer], Awaitable[int]]] = {
            "notify-pane": self._notify,
            "list": self._list,
            "show": self._show,
            "whoami": self._whoami,
            "status": self._status,
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

    async def _notify(self, request: Request, answer: Answer) -> int:
        words = arguments.read_words(request.words[1:])
        if words.help:
            await answer.write_output(arguments.help_text())
        elif words.version:
            await answer.write_output(f"notify-pane {__version__}\n")
        elif words.list:
            return await self._list_addresses(words, answer)
        elif words.whoami:
            return await self._whoami(request, answer)
        else:
            return await self._send(words, request, answer)
        return 0

    async def _list_addresses(self, words: Words, answer: Answer) -> int:
        if words.json:
            await answer.write_output(_json(entries(self._replica.registry)))
        else:
            await answer.write_output("".join(f"{pane.address}\n" for pane in entries(self._replica.registry)))
        return 0

    async def _send(self, words: Words, request: Request, answer: Answer) -> int:
        """Send to each recipient; the exit code is the worst of theirs."""
        caller = await self._caller(request)
        sender = _shown(words.reply_to) if words.reply_to else caller.name
        force = words.force or request.environment.get("FORCE_SEND") == "1"
        matches = await self._resolve(words.address or "", caller)
        body = await _read_body(words, answer)
        code = 0
        with ExitStack() as opened:
            files = [opened.enter_context(Outgoing(_path(name, request))) for name in words.files]
            # Each recipient is served at once; what became of each is told in the order named.
            sending = (self._send_to(match, body, files, sender, force=force) for match in matches)
            for match, (receipt, shown) in zip(matches, await asyncio.gather(*sending), strict=True):
                await _report(receipt, match, shown, words, answer)
                code = max(code, EXIT_CODES[receipt.state])
        return code

    async def _send_to(
        self, match: Match, body: str, files: list[Outgoing], sender: str, *, force: bool
    ) -> tuple[Receipt, str]:
        """Send a text, or files each with its announcement; returns the worst receipt, and what was sent last."""
        pane = match.pane
        bodies = [body] if not files else []
        for number, file in enumerate(files):
            try:
                path = await self._postman.send_file(file, sender, pane.host, self._links)
            except AgentmeshError as error:
                state = State.UNREACHABLE if isinstance(error, Unreachable) else State.FAILED
                failed = Receipt(
                    id="", to=pane.address, host=pane.host, state=state, target=pane.target, detail=str(error)
                )
                return failed, file.name
            bodies.append(announcement(path, file.size, body if number == len(files) - 1 else ""))
        worst: Receipt | None = None
        for text in bodies:
            message = Message(
                id=uuid.uuid4().hex,
                sender=sender,
                to=pane.address,
                host=pane.host,
                body=text,
                sent=int(time.time()),
                force=force,
            )
            receipt = await self._postman.send(message, self._links)
            if worst is None or EXIT_CODES[receipt.state] >= EXIT_CODES[worst.state]:
                worst = receipt
            if EXIT_CODES[receipt.state]:
                break
        if worst is None:
            raise BadBody(reason="it is empty")
        return worst, bodies[-1]

    async def _resolve(self, address: str, caller: Caller) -> list[Match]:
        """Find the panes of an address; look at tmux again before saying that there are none."""
        now = int(time.time())
        try:
            return resolve(self._replica.registry, address, now, caller.pane)
        except UnknownAddress:
            if not await self._scanner.scan():
                raise
            return resolve(self._replica.registry, address, now, caller.pane)

    async def _list(self, _: Request, answer: Answer) -> int:
        await answer.write_output(_json(entries(self._replica.registry)))
        return 0

    async def _show(self, request: Request, answer: Answer) -> int:
        address = request.words[1] if len(request.words) > 1 else ""
        found = await self._resolve(address, await self._caller(request))
        await answer.write_output(_json([match.pane for match in found]))
        return 0

    async def _whoami(self, request: Request, answer: Answer) -> int:
        caller = await self._caller(request)
        await answer.write_output(f"{caller.name}\n")
        return 0

    async def _status(self, _: Request, answer: Answer) -> int:
        status = {
            "host": self._alias,
            "version": __version__,
            "pid": os.getpid(),
            "home": str(self._paths.home),
            "listening": self.listening,
            "panes": sum("." not in pane.address for pane in self._replica.own.panes),
            "servers": [server.name for server in self._scanner.servers if server.runs()],
            "failures": self._scanner.failures,
            "peers": self._links.statuses,
        }
        await answer.write_output(_json(status))
        return 0

    async def _sync(self, _: Request, answer: Answer) -> int:
        """Read peers.conf again, scan tmux, dial what is down, and send this host's slice to all."""
        peers = load_peers(self._paths)
        await self._replica.set_members(peers)
        self._links.set_peers(peers)
        await self._scanner.scan()
        await self._links.sync()
        await self._replica.write_files()
        await answer.write_output(_json({"panes": len(self._replica.own.panes), "peers": len(peers)}))
        return 0

    async def _identify(self, request: Request, answer: Answer) -> int:
        """Set role, scope and handle of the caller's window, from words ``name=value``."""
        caller = await self._caller(request)
        if caller.pane is None:
            raise NotInPane
        options = dict(word.split("=", 1) for word in request.words[1:] if "=" in word)
        server = self._scanner.server(caller.pane.server)
        await server.set_window_options(
            caller.pane.pane, {f"@agent-{name}": without_controls(value) for name, value in options.items()}
        )
        await self._scanner.scan()
        await answer.write_output(f"{(await self._caller(request)).name}\n")
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

    async def _caller(self, request: Request) -> Caller:
        """Find the pane that the asking process runs in, from the kernel's word on who it is.

        ``AGENT_NAME`` is the name where there is no pane (cron); otherwise it is shown beside the pane's.
        """
        pane = self._pane_of(request.pid)
        if pane is None and "TMUX_PANE" in request.environment:
            await self._scanner.scan()
            pane = self._pane_of(request.pid)
        claimed = _shown(request.environment.get("AGENT_NAME", ""))
        if pane is None:
            return Caller(None, claimed or self._alias)
        agrees = claimed.lower() in {"", pane.address.lower(), pane.handle.lower()}
        return Caller(pane, pane.address if agrees else f"{pane.address} (as {claimed})")

    def _pane_of(self, pid: int) -> Pane | None:
        panes = {pane.pid: pane for pane in reversed(self._replica.own.panes)}
        return next((panes[ancestor] for ancestor in process.ancestors(pid) if ancestor in panes), None)


async def _read_body(words: Words, answer: Answer) -> str:
    if words.body == "-":
        return check_body(await answer.read_input(LARGEST_BODY))
    if words.body is None:
        return ""
    return check_body(words.body.encode(errors="surrogateescape"))


async def _report(receipt: Receipt, match: Match, body: str, words: Words, answer: Answer) -> None:
    """Tell the sender how one message ended."""
    if words.json:
        await answer.write_output(_json(receipt))
        return
    pane = match.pane
    if match.renamed_from:
        await answer.write_error(f"notify-pane: {match.renamed_from} is now called {pane.address}.\n")
    if EXIT_CODES[receipt.state] == 0:
        target = without_controls(receipt.target or pane.target)
        await answer.write_output(f"→ {pane.address} ({pane.host}[{target}]): {body}\n")
        if receipt.note:
            await answer.write_error(f"notify-pane: {pane.address}: {without_controls(receipt.note)}.\n")
        return
    seen = f": {receipt.readiness}" if receipt.readiness else ""
    complaint = [f"notify-pane: {pane.address}: {receipt.state}{seen}. {receipt.detail}"]
    complaint += [f"  | {line}" for line in receipt.screen]
    await answer.write_error("".join(f"{without_controls(line)}\n" for line in complaint))
    log.info("message not delivered", message=receipt.id, state=receipt.state)


def _path(name: str, request: Request) -> Path:
    """Return a file that the caller named: from its own folder, or one of its own open descriptors."""
    path = Path(os.path.normpath(request.folder / name))
    if path.parent == Path("/dev/fd"):
        return Path(f"/proc/{request.pid}/fd/{path.name}")
    return path


def _shown(name: str) -> str:
    """Return a name that can stand in a tag: one line, no brackets.

    >>> _shown("bob] rm")
    'bob rm'
    """
    return " ".join(without_controls(name).replace("[", "").replace("]", "").split())[:LONGEST_NAME]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode() + "\n"
