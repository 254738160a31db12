"""The way of a message: accepted, sent to its host or taken in from a peer, queued for its pane, and answered."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import Any, Protocol

import msgspec

from agentmesh.adapters.files import Outgoing, locked
from agentmesh.agent.drops import Drops
from agentmesh.agent.links import Reply
from agentmesh.agent.log import log
from agentmesh.agent.replication import Replica
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.stream import FrameStream
from agentmesh.agent.typist import Storing, Typist
from agentmesh.config import Paths
from agentmesh.core.delivery import Event, State, is_end
from agentmesh.core.model import Message, Pane, Receipt
from agentmesh.core.registry import resolve
from agentmesh.core.wire import Deliver, Frame
from agentmesh.errors import PaneGone, TmuxFailed, UnknownAddress, Unreachable
from agentmesh.store import inbox, outbox
from agentmesh.store.database import Database

STORED_SECONDS = 15.0
"""How long a peer may take to say that it has stored a message."""
ENDED_SECONDS = 90.0
"""How long a message may take from there to its end: others may be queued before it."""
STALE_SECONDS = 60
"""A message that was interrupted longer ago than this is not taken up again after a restart."""
LOCK_POLL_SECONDS = 0.01
QUICK_SECONDS = 0.1
"""An end that comes within this time is told without telling first that the message is stored."""

Start = Callable[[str, Coroutine[Any, Any, object]], object]
"""Starts a task of this name."""


class Carrier(Protocol):
    """What brings frames to other hosts."""

    async def send(self, host: str, frame: Frame) -> None:
        """Send a frame to a host. Raises Unreachable."""

    def drop_conversation(self, host: str) -> AbstractAsyncContextManager[FrameStream]:
        """Open a conversation for one file. Raises Unreachable."""


class _Awaited:
    """A message of this host that a peer has not ended yet."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.receipt: Receipt | None = None
        self.changed = asyncio.Event()
        self.lost = False


class Postman:
    """Carries messages and drops between this host's commands, its panes and its peers."""

    def __init__(
        self,
        paths: Paths,
        alias: str,
        database: Database,
        replica: Replica,
        scanner: Scanner,
        typist: Typist,
        drops: Drops,
    ) -> None:
        self._paths = paths
        self._alias = alias
        self._database = database
        self._replica = replica
        self._scanner = scanner
        self._typist = typist
        self._drops = drops
        self._queues: dict[str, asyncio.Lock] = {}
        self._awaited: dict[str, _Awaited] = {}
        self._replies: dict[str, Reply] = {}
        self._delivering = 0
        self._idle = asyncio.Condition()

    async def send(self, message: Message, carrier: Carrier) -> Receipt:
        """Carry a message of this host to its end; returns the last receipt."""
        if message.host == self._alias:
            stored = await self._database.write(inbox.accept_and_store, message)
            return await self._deliver(message, _done(stored[0]))
        await self._database.write(outbox.accept, message)
        return await self._carry(message, carrier)

    async def send_file(self, file: Outgoing, sender: str, host: str, carrier: Carrier) -> str:
        """Drop a file on a host; returns its path there. Raises DropFailed, Unreachable."""
        if host == self._alias:
            return await self._drops.copy(file, sender)
        async with carrier.drop_conversation(host) as stream:
            return await self._drops.send(stream, file, sender, host)

    async def accept(self, message: Message, reply: Reply) -> None:
        """Take in a message of a peer, deliver it, and reply with its receipts. A known message is only answered.

        That it is stored is told when its end doesn't follow at once.
        """
        asked_again = message.id in self._replies
        self._replies[message.id] = reply
        if asked_again:
            return  # whoever asked last, perhaps over another link, is answered at the end
        try:
            async with asyncio.TaskGroup() as tasks:
                storing = tasks.create_task(self._store(message))
                delivering = tasks.create_task(self._deliver(message, storing))
                await asyncio.wait({delivering}, timeout=QUICK_SECONDS)
                if not delivering.done():
                    await self._replies[message.id](await storing)
            await self._replies[message.id](delivering.result())
        finally:
            del self._replies[message.id]

    async def record(self, receipt: Receipt) -> None:
        """Note what a peer says of a message of this host."""
        await self._database.write(outbox.record, receipt)
        if awaited := self._awaited.get(receipt.id):
            awaited.receipt = receipt
            awaited.changed.set()

    def link_lost(self, host: str) -> None:
        """Ask again for the messages that a host has not ended: one of them may have been lost with the link."""
        for awaited in self._awaited.values():
            if awaited.host == host:
                awaited.lost = True
                awaited.changed.set()

    async def take_drop(self, stream: FrameStream) -> None:
        """Receive a file on a conversation of its own."""
        await self._drops.take(stream)

    async def recover(self, carrier: Carrier, start: Start) -> None:
        """Take up what a crash interrupted: what may have been typed is uncertain; what is fresh goes on."""
        for message, _ in await self._database.write(inbox.unended):
            start(f"message {message.id}", self._deliver(message, _done(await self._store(message))))
        for message in await self._database.write(outbox.unended):
            if message.host == self._alias:
                continue
            if time.time() - message.sent > STALE_SECONDS:
                detail = "This host stopped before the message's end was known."
                await self._database.write(outbox.advance, message, Event.LOSE, detail)
            else:
                start(f"message {message.id}", self._carry(message, carrier))

    async def finish(self, seconds: float) -> None:
        """Wait until no message is being delivered into a pane, at most so long."""
        try:
            async with asyncio.timeout(seconds), self._idle:
                await self._idle.wait_for(lambda: not self._delivering)
        except TimeoutError:
            log.warning("stopped in the middle of a delivery", messages=self._delivering)

    async def _carry(self, message: Message, carrier: Carrier) -> Receipt:
        """Bring a message to its host and wait for its end. After a cut it is asked about by sending it again."""
        awaited = self._awaited[message.id] = _Awaited(message.host)
        sent = False
        try:
            while True:
                awaited.lost = False
                await carrier.send(message.host, Deliver(message))
                sent = True
                receipt = await self._await_end(awaited)
                if receipt is not None:
                    return receipt
        except Unreachable as error:
            event, detail = Event.MISS, str(error)
            if sent:
                event, detail = Event.LOSE, f"The link broke before {message.host} told of its end, and {detail}"
        except TimeoutError:
            event, detail = Event.LOSE, f"{message.host} has not answered; the message may still arrive."
        finally:
            del self._awaited[message.id]
        return await self._database.write(outbox.advance, message, event, detail)

    @staticmethod
    async def _await_end(awaited: _Awaited) -> Receipt | None:
        """Return the receipt of a message's end, or None when the link was lost. Raises TimeoutError."""
        async with asyncio.timeout(STORED_SECONDS) as patience:
            while not awaited.lost:
                if awaited.receipt is not None:
                    if is_end(awaited.receipt.state):
                        return awaited.receipt
                    patience.reschedule(asyncio.get_running_loop().time() + ENDED_SECONDS)
                awaited.changed.clear()
                await awaited.changed.wait()
        return None

    async def _deliver(self, message: Message, storing: Storing) -> Receipt:
        """Deliver a message that is being stored, when its turn for the pane has come."""
        self._delivering += 1
        try:
            return await self._deliver_in_turn(message, storing)
        finally:
            self._delivering -= 1
            async with self._idle:
                self._idle.notify_all()

    async def _deliver_in_turn(self, message: Message, storing: Storing) -> Receipt:
        try:
            pane = await self._find_pane(message)
            async with self._queue(f"{pane.server}{pane.pane}"):
                server = self._scanner.server(pane.server)
                ended = await self._typist.deliver(message, pane, server, storing, self._journal)
        except (PaneGone, TmuxFailed, UnknownAddress) as error:
            await storing
            receipt, _ = await self._database.write(inbox.store, message)
            ended = await self._break_off(receipt, str(error))
        if ended.state is State.FAILED:
            await self._scanner.scan()
        log.info("message ended", message=message.id, to=message.to, state=ended.state)
        return ended

    async def _store(self, message: Message) -> Receipt:
        """Store a message, or find one that was here before; what was left waiting for too long has expired."""
        receipt, new = await self._database.write(inbox.store, message)
        if not new and receipt.state is State.STORED and time.time() - message.sent > STALE_SECONDS:
            return await self._journal(receipt, Event.EXPIRE)
        return receipt

    async def _break_off(self, receipt: Receipt, detail: str) -> Receipt:
        """End a message that can't go on: failed when nothing was typed yet, else uncertain."""
        if is_end(receipt.state):
            return receipt
        event = Event.FAIL if receipt.state is State.STORED else Event.LOSE
        return await self._journal(msgspec.structs.replace(receipt, detail=detail), event)

    async def _find_pane(self, message: Message) -> Pane:
        """Return the pane that an address of this host means now; look again before saying that there is none."""
        own = self._replica.own
        for pane in own.panes:
            if pane.address == message.to:
                return pane
        await self._scanner.scan()
        return resolve({own.host: self._replica.own}, message.to, int(time.time()))[0].pane

    async def _journal(self, receipt: Receipt, event: Event) -> Receipt:
        return await self._database.write(inbox.advance, receipt, event)

    @asynccontextmanager
    async def _queue(self, pane: str) -> AsyncIterator[None]:
        """Hold a pane's turn: first in, first out here; and alone among all processes of this home."""
        lock = self._queues.setdefault(pane, asyncio.Lock())
        path = self._paths.pane_locks / pane.replace("/", "_")
        async with lock:
            with ExitStack() as held:
                while True:
                    try:
                        held.enter_context(locked(path, wait=False))
                        break
                    except BlockingIOError:
                        await asyncio.sleep(LOCK_POLL_SECONDS)
                yield


def _done(stored: Receipt) -> Storing:
    """Return the storing of a message that is on disk already."""
    done: Storing = asyncio.get_running_loop().create_future()
    done.set_result(stored)
    return done
