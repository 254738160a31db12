"""What notify-pane asks for: find the recipients, send each a text or files, and tell what became of them."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from agentmesh import __version__
from agentmesh.adapters.ipc import Request
from agentmesh.agent import arguments
from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.arguments import Words
from agentmesh.agent.courier import Carrier
from agentmesh.agent.directory import Directory
from agentmesh.agent.dropping import Dropping, Parcel
from agentmesh.agent.log import log
from agentmesh.agent.postman import Postman
from agentmesh.agent.replication import Replica
from agentmesh.core.delivery import State, exit_code, is_end
from agentmesh.core.drop import announcements
from agentmesh.core.model import Message, Pane, Receipt
from agentmesh.core.registry import Match, entries
from agentmesh.core.text import LARGEST_BODY, check_body, sender_name, without_controls
from agentmesh.errors import AgentmeshError, BadBody, Unreachable

QUIET_SECONDS = 1.0
"""How long a message may wait before the person who sent it is told that it does."""


class Sending:
    """Runs notify-pane, whose own process only hands over its words and shows the answer."""

    def __init__(
        self, replica: Replica, directory: Directory, postman: Postman, carrier: Carrier, dropping: Dropping
    ) -> None:
        self._replica = replica
        self._directory = directory
        self._postman = postman
        self._carrier = carrier
        self._dropping = dropping

    async def run(self, request: Request, answer: Answer) -> int:
        """Do what the words after ``notify-pane`` ask; returns the exit code. Raises AgentmeshError."""
        words = arguments.read_words(request.words[1:])
        if words.help:
            await answer.write_output(arguments.help_text())
        elif words.version:
            await answer.write_output(f"notify-pane {__version__}\n")
        elif words.list:
            known = entries(self._replica.registry)
            lines = "".join(f"{pane.address}\n" for pane in known)
            await answer.write_output(as_json(known) if words.json else lines)
        elif words.whoami:
            name = (await self._directory.caller(request)).name
            await answer.write_output(as_json({"name": name}) if words.json else f"{name}\n")
        elif words.brief:
            await answer.write_output(await self._brief())
        else:
            return await self._send(words, request, answer)
        return 0

    async def _brief(self) -> str:
        """Return what a status line shows: nothing, when there is nothing to know."""
        unread = await self._postman.count_unread()
        others = sorted(self._replica.members - {self._replica.own.host})
        away = [host for host in others if not self._replica.states.get(host, "").startswith("live")]
        told = [f"{unread} unread"] * bool(unread) + [f"{', '.join(away)} away"] * bool(away)
        return "".join(f"{part}\n" for part in ["; ".join(told)] if part)

    async def _send(self, words: Words, request: Request, answer: Answer) -> int:
        """Send to each recipient; the exit code is the worst of theirs."""
        caller = await self._directory.caller(request)
        sender = sender_name(words.reply_to) if words.reply_to else caller.name
        matches = await self._directory.find(words.address or "", caller)
        body = await _read_body(words, answer)
        code = 0
        async with (
            self._dropping.parcel(words, request, answer, sender) as parcel,
            _Wish.of(words, request, answer, sender) as wish,
        ):
            # Each recipient is served at once; what became of each is told in the order named.
            sending = [asyncio.ensure_future(self._send_to(match, body, parcel, wish)) for match in matches]
            for match, ending in zip(matches, sending, strict=True):
                receipt, shown = await ending
                await _report(receipt, match, shown, words, answer)
                code = max(code, exit_code(receipt.state))
        return code

    async def _send_to(self, match: Match, body: str, parcel: Parcel, wish: "_Wish") -> tuple[Receipt, str]:
        """Send a text, or files each with its announcement; returns the worst receipt, and what was sent last."""
        pane = match.pane
        try:
            drops = await parcel.drop_on(pane.host)
        except AgentmeshError as error:
            state = State.UNREACHABLE if isinstance(error, Unreachable) else State.FAILED
            failed = Receipt(id="", to=pane.address, host=pane.host, state=state, target=pane.target, detail=str(error))
            return failed, body
        bodies = announcements(drops, body) if drops else [body]
        worst: Receipt | None = None
        for text in bodies:
            receipt = await self._send_message(wish.message(pane, text), wish)
            if worst is None or exit_code(receipt.state) >= exit_code(worst.state):
                worst = receipt
            if exit_code(receipt.state):
                break
        if worst is None:
            raise BadBody(reason="it is empty")
        return msgspec.structs.replace(worst, drops=drops), bodies[-1]

    async def _send_message(self, message: Message, wish: "_Wish") -> Receipt:
        """Send a message; one that waits is taken back when nobody waits for it any more."""
        if wish.words.queue:
            return await self._postman.queue(message, self._carrier)
        sending = asyncio.ensure_future(self._postman.send(message, self._carrier))
        if wish.given_up:
            ends: set[asyncio.Future[Any]] = {sending, wish.given_up}
            done, _ = await asyncio.wait(ends, timeout=QUIET_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not done and wish.is_watched:
                await wish.answer.write_error(f"notify-pane: {message.to}: waiting; Ctrl-C takes the message back.\n")
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                await self._postman.withdraw(message)
        return await sending


class _Wish(msgspec.Struct):
    """What one command wants of its messages, and how long."""

    words: Words
    answer: Answer
    sender: str
    force: bool
    dismiss: bool
    is_watched: bool
    """A person sees what is written to standard error."""
    given_up: asyncio.Future[None] | None
    """Done when the command that waits for them has ended; None when it doesn't wait."""

    @classmethod
    @asynccontextmanager
    async def of(cls, words: Words, request: Request, answer: Answer, sender: str) -> AsyncIterator["_Wish"]:
        given_up = asyncio.ensure_future(answer.gone()) if words.wait else None
        variables = request.environment
        try:
            yield cls(
                words,
                answer,
                sender,
                force=words.force or variables.get("FORCE_SEND") == "1",
                dismiss=variables.get("SKIP_DISMISS") != "1",
                is_watched="COLUMNS" in variables,
                given_up=given_up,
            )
        finally:
            if given_up:
                given_up.cancel()

    def message(self, pane: Pane, body: str) -> Message:
        now = int(time.time())
        patience = self.words.wait or self.words.queue
        return Message(
            id=uuid.uuid4().hex,
            sender=self.sender,
            to=pane.address,
            host=pane.host,
            body=body,
            sent=now,
            force=self.force,
            dismiss=self.dismiss,
            expires=now + patience if patience else 0,
        )


async def _read_body(words: Words, answer: Answer) -> str:
    if words.body == "-":
        return check_body(await answer.read_input(LARGEST_BODY))
    if words.body is None:
        return ""
    return check_body(words.body.encode(errors="surrogateescape"))


async def _report(receipt: Receipt, match: Match, body: str, words: Words, answer: Answer) -> None:
    """Tell the sender how one message ended."""
    if words.json:
        await answer.write_output(as_json(receipt))
        return
    pane = match.pane
    if match.renamed_from:
        await answer.write_error(f"notify-pane: {match.renamed_from} is now called {pane.address}.\n")
    if exit_code(receipt.state) == 0:
        target = without_controls(receipt.target or pane.target)
        queued = "" if is_end(receipt.state) else "queued "
        via = f" via {receipt.via}" if receipt.via else ""
        await answer.write_output(f"{queued}→ {pane.address} ({pane.host}[{target}]{via}): {body}\n")
        if receipt.note:
            await answer.write_error(f"notify-pane: {pane.address}: {without_controls(receipt.note)}.\n")
        return
    seen = f": {receipt.readiness}" if receipt.readiness else ""
    complaint = [f"notify-pane: {pane.address}: {receipt.state}{seen}. {receipt.detail}"]
    complaint += [f"  | {line}" for line in receipt.screen]
    await answer.write_error("".join(f"{without_controls(line)}\n" for line in complaint))
    log.info("message not delivered", message=receipt.id, state=receipt.state)
