"""The way of a message: accepted, carried to its host or queued for its pane here, and answered."""

import asyncio
import time
from asyncio import FIRST_COMPLETED
from collections import Counter
from collections.abc import Collection
from functools import partial
from typing import Any

import msgspec

from agentmesh.agent.conversations import Reply
from agentmesh.agent.courier import Carrier, Courier
from agentmesh.agent.drops import Drops
from agentmesh.agent.log import log
from agentmesh.agent.pane_queues import STALE_SECONDS, PaneQueues, found
from agentmesh.agent.replication import Replica
from agentmesh.agent.stream import FrameStream
from agentmesh.agent.tasks import Tasks
from agentmesh.agent.turns import Entry
from agentmesh.core.address import Address
from agentmesh.core.delivery import Event, State, is_end
from agentmesh.core.identity import shown_sender
from agentmesh.core.model import Letter, Message, Origin, Receipt
from agentmesh.core.registry import LONGEST_ADDRESS, is_address
from agentmesh.core.text import LARGEST_BODY
from agentmesh.errors import AgentmeshError
from agentmesh.store import inbox, outbox
from agentmesh.store.database import Database

QUICK_SECONDS = 0.1
"""An end that comes within this time is told without telling first that the message is stored, or queued."""
DOUBT_SECONDS = 24 * 3600
"""For how long it is asked what became of a message that this host is uncertain of."""
LARGEST_MESSAGE = 4 * LARGEST_BODY
"""Bytes of a peer's message: a text of the largest size, however it is written as JSON, and names of files."""
LONGEST_WAIT = 366 * 24 * 3600
"""Seconds that a peer's message may wait, whatever the peer says."""
_STOPPED = "This host stopped before the message's end was known."


class Postman:
    """Carries messages and drops between this host's commands, its panes and its peers."""

    def __init__(
        self, alias: str, database: Database, replica: Replica, queues: PaneQueues, drops: Drops, tasks: Tasks
    ) -> None:
        self._alias = alias
        self._replica = replica
        self._database = database
        self._queues = queues
        self._drops = drops
        self._tasks = tasks
        self._courier = Courier(database, tasks)
        self._replies: dict[str, Reply] = {}
        self._recovered = False

    async def send(self, message: Message, carrier: Carrier) -> Receipt:
        """Carry a message of this host to its end; returns the last receipt."""
        await self._let_older_go_first(message, carrier)
        if message.host == self._alias:
            return await asyncio.shield((await self._put(message)).ended)
        await self._database.write(outbox.accept, message)
        return await self._courier.carry(message, carrier)

    async def queue(self, message: Message, carrier: Carrier) -> Receipt:
        """Accept a message of this host and deliver it when that can be; returns how far it got in a moment."""
        ending: asyncio.Future[Any]
        await self._let_older_go_first(message, carrier)
        if message.host == self._alias:
            ending = (await self._put(message)).ended
        else:
            await self._database.write(outbox.accept, message)
            ending = self._carry(message, carrier)
        await asyncio.wait({ending}, timeout=QUICK_SECONDS)
        return await self._owed(message)

    async def withdraw(self, message: Message) -> Receipt:
        """Take a message of this host back, if nothing has been typed of it; returns how far it is.

        What another host has is taken back when that can be asked.
        """
        if message.host == self._alias:
            await self._queues.withdraw(message)
        else:
            await self._courier.withdraw(message)
        return await self._owed(message)

    async def give_up(self, host: str) -> int:
        """End the messages for a host that has left the mesh; returns how many there were."""
        return await self._courier.give_up(host)

    @property
    def waiting(self) -> dict[str, int]:
        """How many messages for panes of this host have not ended, by address."""
        return dict(Counter(entry.message.to for entry in self._queues.entries))

    def hurry(self) -> None:
        """Try at once what waits for a pane of this host."""
        self._queues.look_again()

    async def outgoing(self, *, ended: bool) -> list[Letter]:
        """Return the messages of this host whose end isn't known, or all, each with what it waits for."""
        seen = {entry.message.id: entry.seen for entry in self._queues.entries}
        known = await self._database.write(outbox.listed, ended=ended)
        return [Letter(letter.message, seen.get(letter.message.id) or letter.receipt) for letter in known]

    async def incoming(self, addresses: Collection[str], words: str, *, unread: bool) -> list[Letter]:
        """Return what came for some panes of this host, or for all; with some words in it, or not marked as read."""
        return await self._database.write(inbox.listed, addresses, words, unread=unread)

    async def count_unread(self) -> int:
        """Return how many of the messages that came are not marked as read."""
        return await self._database.write(inbox.count_unread)

    async def mark(self, identifiers: Collection[str]) -> None:
        """Mark messages that came as read."""
        await self._database.write(inbox.mark, identifiers)

    async def accept(self, message: Message, patience: int, reply: Reply, origin: Origin) -> None:
        """Take in a message of a peer, deliver it, and reply with its receipts. A known message is only answered.

        That it is stored is told when its end doesn't follow at once. A sender that is an address of another host than
        the message comes from is shown with both. Returns when it has ended, or may wait.
        """
        if refusal := _unfit(message):
            reply(_failed(message, refusal))
            return
        sender = shown_sender(message.sender, origin.host, self._replica.registry)
        expires = _now() + min(patience, LONGEST_WAIT) if patience else 0
        message = msgspec.structs.replace(message, sender=sender, expires=expires)
        # In the order of the frames: nothing is awaited before the message has its place.
        entry = self._queues.put(message, lambda: self._database.write(inbox.store, message, _now(), origin))
        log.info("message came", message=message.id, **{"from": origin.host}, identity=origin.identity)
        is_asked_again = message.id in self._replies
        self._replies[message.id] = reply
        if is_asked_again:
            reply(entry.seen or (await asyncio.shield(entry.stored)).receipt)
            return  # whoever asked last, perhaps over another link, is answered at the end
        answering = self._tasks.start_supervised(f"answer {message.id}", self._answer(entry))
        await asyncio.wait({answering, entry.stored} if entry.waits else {answering}, return_when=FIRST_COMPLETED)

    async def take_back(self, message: Message, reply: Reply, origin: Origin) -> None:
        """End a peer's message that nothing has been typed of, and reply with its receipt. It may not have come yet."""
        if refusal := _unfit(message):
            reply(_failed(message, refusal))
            return
        await self._queues.withdraw(message)
        receipt = (await self._database.write(inbox.store, message, _now(), origin)).receipt
        if receipt.state is State.STORED:
            receipt = await self._database.write(inbox.advance, receipt, Event.WITHDRAW, _now())
        reply(receipt)

    async def record(self, receipt: Receipt) -> None:
        """Note what a peer says of a message of this host."""
        await self._courier.record(receipt)

    def link_lost(self, host: str) -> None:
        """Ask again for the messages that a host has not ended: one of them may have been lost with the link."""
        self._courier.link_lost(host)

    async def take_drop(self, stream: FrameStream) -> None:
        """Receive a file on a conversation of its own."""
        await self._drops.take(stream)

    async def recover(self, carrier: Carrier) -> None:
        """Take up what a stop or a crash interrupted, in its order.

        Nothing else may be sent or accepted before this returns.
        """
        self._recovered = True
        await self.take_up(carrier)
        for letter in await self._database.write(outbox.uncertain, _now() - DOUBT_SECONDS):
            if letter.message.host != self._alias:
                self._courier.clear_up(letter.message, carrier)

    async def take_up(self, carrier: Carrier) -> None:
        """Go on with all that is on disk and not under way, such as what a command without an agent has left."""
        await self._queues.take_up()
        await self._take_up_sent(carrier)

    async def settle(self, seconds: float) -> None:
        """Wait until every message has ended, or must wait for its pane or its host; at most so long."""
        await asyncio.gather(self._queues.settle(seconds), self._courier.settle(seconds))

    async def close(self, seconds: float) -> None:
        """Let what waits rest, on disk, and what is being delivered come to its end; at most so long."""
        await self._queues.close(seconds)

    async def _let_older_go_first(self, message: Message, carrier: Carrier) -> None:
        """Where no agent runs: take up what earlier commands have left waiting here, or for the same pane elsewhere."""
        if self._recovered:
            return
        if message.host == self._alias:
            await self._queues.take_up()
        else:
            await self._take_up_sent(carrier, message.to)

    async def _take_up_sent(self, carrier: Carrier, to: str = "") -> None:
        """Carry on with messages for other hosts; with those for one address alone, if it is given."""
        for letter in await self._database.write(outbox.listed):
            message = letter.message
            if message.host == self._alias or to not in {"", message.to} or self._courier.carries(message):
                continue
            if message.expires or _now() - message.sent < STALE_SECONDS:
                self._carry(message, carrier, sent=True)
            else:
                await self._database.write(outbox.advance, message, Event.LOSE, _STOPPED, _now())

    async def _owed(self, message: Message) -> Receipt:
        receipt = await self._database.write(outbox.find, message.id)
        if receipt is None:
            raise LookupError(message.id)
        return receipt

    async def _put(self, message: Message) -> Entry:
        """Store a message of this host for one of its panes, and give it its place."""
        stored = await self._database.write(inbox.accept_and_store, message, _now())
        return self._queues.put(message, partial(found, stored))

    def _carry(self, message: Message, carrier: Carrier, *, sent: bool = False) -> asyncio.Task[Any]:
        return self._tasks.start_supervised(f"message {message.id}", self._courier.carry(message, carrier, sent=sent))

    async def _answer(self, entry: Entry) -> None:
        """Tell whoever asked about a message how far it is, up to its end."""
        try:
            await self._report(entry)
        except AgentmeshError as error:
            self._replies[entry.message.id](_failed(entry.message, str(error)))
        finally:
            del self._replies[entry.message.id]

    async def _report(self, entry: Entry) -> None:
        """Tell whoever asked about a message that it is stored, what it waits for, and its end. Raises StoreFailed."""
        identifier = entry.message.id
        if not entry.waits:
            await asyncio.wait({entry.ended}, timeout=QUICK_SECONDS)
        if not entry.ended.done():
            receipt = (await asyncio.shield(entry.stored)).receipt
            if is_end(receipt.state):
                self._queues.end(entry, receipt)
            else:
                self._replies[identifier](receipt)
        while not entry.ended.done():
            await entry.news.wait()
            entry.news.clear()
            if entry.seen and not entry.ended.done():
                self._replies[identifier](entry.seen)
        self._replies[identifier](entry.ended.result())


def _unfit(message: Message) -> str:
    """Return why a peer's message can't be taken in, as a sentence; empty when it can."""
    if len(msgspec.json.encode(message)) > LARGEST_MESSAGE:
        return f"It has more than {LARGEST_MESSAGE:,} bytes."
    return "" if is_address(message.to) else "That is no address."


def _failed(message: Message, detail: str) -> Receipt:
    """Return the receipt of a message that isn't on disk here; its names may be of any length."""
    to, host = Address(message.to[:LONGEST_ADDRESS]), message.host[:LONGEST_ADDRESS]
    return Receipt(id=message.id, to=to, host=host, state=State.FAILED, time=_now(), detail=detail)


def _now() -> int:
    return int(time.time())
