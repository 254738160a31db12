"""What `agentmesh outbox` and `agentmesh inbox` ask for: see the messages kept here, send again, take back, mark."""

import time
import uuid
from collections.abc import Awaitable, Callable

import msgspec

from agentmesh.adapters.ipc import Request
from agentmesh.agent.answer import Answer, as_json, without_json
from agentmesh.agent.directory import Directory
from agentmesh.agent.links import Links
from agentmesh.agent.postman import Postman
from agentmesh.core.delivery import is_end
from agentmesh.core.model import Letter, Message
from agentmesh.core.outcome import Handled
from agentmesh.errors import UnknownAddress, UnknownMessage, UsageError

RETRY_SECONDS = 24 * 3600
"""How long a message that is sent again may wait."""


class Mail:
    """The messages of one host, as its commands see them."""

    def __init__(self, alias: str, postman: Postman, directory: Directory, links: Links) -> None:
        self._alias = alias
        self._postman = postman
        self._directory = directory
        self._links = links

    async def outbox(self, request: Request, answer: Answer) -> int:
        """``outbox list|all``, ``outbox retry|drop ID… [--json]``, and ``take-up``: go on with what others left."""
        words, in_json = without_json(request.words[1:])
        match words:
            case ["list" | "all" as which]:
                await answer.write_output(as_json(await self._postman.outgoing(ended=which == "all")))
            case ["take-up"]:
                await self._postman.take_up(self._links)
            case ["retry", *prefixes] if prefixes:
                await self._each(prefixes, self._retry, answer, in_json=in_json)
            case ["drop", *prefixes] if prefixes:
                await self._each(prefixes, self._drop, answer, in_json=in_json)
            case _:
                raise UsageError(reason="Say list, all, retry ID or drop ID.", program="agentmesh outbox")
        return 0

    async def inbox(self, request: Request, answer: Answer) -> int:
        """``inbox list ADDRESS WORDS all|unread``, both texts may be empty, and ``inbox mark ID…``."""
        match request.words[1:]:
            case ["list", address, words, "all" | "unread" as which]:
                addresses = await self._addresses(address, request)
                letters = await self._postman.incoming(addresses, words, unread=which == "unread")
                await answer.write_output(as_json(letters))
            case ["mark", *prefixes] if prefixes:
                letters = await self._postman.incoming([], "", unread=False)
                found = [_only(letters, prefix, "agentmesh inbox") for prefix in prefixes]
                await self._postman.mark([letter.message.id for letter in found])
            case _:
                raise UsageError(reason="Say list or mark ID.", program="agentmesh inbox")
        return 0

    async def _each(
        self, prefixes: list[str], act: Callable[[Letter], Awaitable[Handled]], answer: Answer, *, in_json: bool
    ) -> None:
        letters = await self._postman.outgoing(ended=True)
        chosen = [_only(letters, prefix, "agentmesh outbox --all") for prefix in prefixes]
        done = [await act(letter) for letter in chosen]
        await answer.write_output(as_json(done) if in_json else "".join(f"{each}\n" for each in done))

    async def _retry(self, letter: Letter) -> Handled:
        """Send an ended message again, as a new one; try at once one that waits. Returns what was done."""
        id_, state = letter.message.id, letter.receipt.state
        if not is_end(state):
            self._links.dial_all()
            self._postman.hurry()
            return Handled(id=id_, state=state, detail="it is tried at once")
        now = int(time.time())
        again = {"id": uuid.uuid4().hex, "sent": now, "expires": now + RETRY_SECONDS}
        message: Message = msgspec.structs.replace(letter.message, **again)
        receipt = await self._postman.queue(message, self._links)
        detail = f"sent again as {message.id[:8]}, {receipt.state}"
        return Handled(id=id_, state=state, detail=detail, again=message.id)

    async def _drop(self, letter: Letter) -> Handled:
        """Take a message back. Returns what was done."""
        id_ = letter.message.id
        if is_end(letter.receipt.state):
            return Handled(id=id_, state=letter.receipt.state, detail="it has ended already")
        receipt = await self._postman.withdraw(letter.message)
        detail = "" if is_end(receipt.state) else f"taken back when {receipt.host} is reached"
        return Handled(id=id_, state=receipt.state, detail=detail)

    async def _addresses(self, address: str, request: Request) -> list[str]:
        """Return the addresses of this host that are meant: those named, the caller's own, or none for all."""
        caller = await self._directory.caller(request)
        if not address:
            own = caller.pane
            return [] if own is None else self._directory.addresses_of(own)
        found = [match.pane for match in await self._directory.find(address, caller)]
        for pane in found:
            if pane.host != self._alias:
                hint = f"What came for it is kept on {pane.host}; look there. "
                raise UnknownAddress(address=f"{pane.address} on this host", hint=hint)
        return [known for pane in found for known in self._directory.addresses_of(pane)]


def _only(letters: list[Letter], prefix: str, program: str) -> Letter:
    """Return the one message whose id begins so. Raises UnknownMessage."""
    found = [letter for letter in letters if letter.message.id.startswith(prefix.lower())] if prefix else []
    if len(found) != 1:
        raise UnknownMessage(id=prefix, found=len(found) or "none", program=program)
    return found[0]
