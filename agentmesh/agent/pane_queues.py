"""Messages that wait for a pane of this host: tried in the order they came, one at a time, alone among all processes.

A message that can't wait is tried at once, and refused when others before it must wait.
"""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from agentmesh.agent.log import log
from agentmesh.agent.tasks import Tasks
from agentmesh.agent.turns import LOCK_POLL_SECONDS, Entry, Storing, Turns, queue_name
from agentmesh.config import Queue as QueueConfig
from agentmesh.core.delivery import IllegalEvent, State, is_end
from agentmesh.core.model import Message, Pane, Receipt
from agentmesh.errors import AgentmeshError, StoreFailed
from agentmesh.store import inbox
from agentmesh.store.database import Database
from agentmesh.store.inbox import OutOfTurn

STALE_SECONDS = 60
"""A message that can't wait is not taken up again after a crash that was longer ago than this."""
FIRST_LOOK_SECONDS = 0.1
LAST_LOOK_SECONDS = 2.0
"""How soon a pane that wasn't ready is looked at again, and how seldom when it stays so."""


class _Queue:
    """The messages for one pane."""

    def __init__(self, name: str, *, of_pane: bool) -> None:
        self.name = name
        self.of_pane = of_pane
        """Whether the pane is known; else it is the queue of an address that means none."""
        self.entries: list[Entry] = []
        self.changed = asyncio.Event()

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.changed.set()

    def in_order(self) -> tuple[Entry, ...]:
        """Return what it holds, in the order of the disk, which decides; what isn't there yet, as it came."""
        self.entries.sort(key=lambda entry: entry.place)
        return tuple(self.entries)


class PaneQueues:
    """Every queue of this host."""

    def __init__(self, config: QueueConfig, database: Database, turns: Turns, tasks: Tasks) -> None:
        self._config = config
        self._database = database
        self._turns = turns
        self._tasks = tasks
        self._queues: dict[str, _Queue] = {}
        self._entries: dict[str, Entry] = {}
        self._rested = asyncio.Condition()
        self._closed = False

    @property
    def entries(self) -> list[Entry]:
        """All messages that have not ended, in the order they came."""
        return list(self._entries.values())

    def put(
        self,
        message: Message,
        store: Callable[[], Storing],
        until: float = 0,
        *,
        is_taken_up: bool = False,
    ) -> Entry:
        """Add a message, which is being stored, unless it is here already.

        ``until`` is when its time is over, if the message doesn't say. One that was accepted earlier (``is_taken_up``)
        is never one too many.
        """
        if message.id in self._entries:
            return self._entries[message.id]
        entry = Entry(message, store(), message.expires or until or math.inf)
        self._entries[message.id] = entry
        pane = self._turns.known_pane(message)
        queue = self._queue(queue_name(pane) if pane else message.to, of_pane=pane is not None)
        entry.is_one_too_many = entry.waits and not is_taken_up and self._is_full(queue)
        queue.add(entry)
        return entry

    async def take_up(self, before: Message | None = None) -> None:
        """Add what is on disk and not here yet; or the part of it that goes before a message to the same address.

        That was left by another process of this home, or an earlier one.
        """
        for message, stored in await self._database.write(inbox.unended, before):
            receipt = stored.receipt
            until = receipt.time + STALE_SECONDS if receipt.state is State.STORED else 0
            self.put(message, partial(found, stored), until, is_taken_up=True)

    async def withdraw(self, message: Message) -> None:
        """End a message that nothing has been typed of; another is left to its own end."""
        if entry := self._entries.get(message.id):
            with suppress(IllegalEvent):
                self.end(entry, await self._turns.withdraw(entry))

    def look_again(self) -> None:
        """Try at once what waits."""
        for queue in self._queues.values():
            queue.changed.set()

    async def settle(self, seconds: float) -> bool:
        """Wait until every message has ended or must wait, at most so long; tell whether that was reached."""
        try:
            async with asyncio.timeout(seconds), self._rested:
                await self._rested.wait_for(lambda: all(entry.rests for entry in self._entries.values()))
        except TimeoutError:
            return False
        return True

    async def close(self, seconds: float) -> None:
        """Let what waits rest, and the others come to their end, at most so long."""
        self._closed = True
        self.look_again()
        if not await self.settle(seconds):
            log.warning("stopped in the middle of a delivery")

    def _is_full(self, queue: _Queue) -> bool:
        """Tell whether no more may wait for a pane; or for panes that aren't known, all taken together."""
        queues = [queue] if queue.of_pane else [other for other in self._queues.values() if not other.of_pane]
        return sum(entry.waits for other in queues for entry in other.entries) >= self._config.longest

    def _queue(self, name: str, *, of_pane: bool) -> _Queue:
        if name not in self._queues:
            queue = self._queues[name] = _Queue(name, of_pane=of_pane)
            self._tasks.start_supervised(f"queue of {name}", self._serve(queue))
        return self._queues[name]

    async def _serve(self, queue: _Queue) -> None:
        """Try what is in a queue, again and again, until it is empty."""
        pause = FIRST_LOOK_SECONDS
        try:
            while queue.entries:
                queue.changed.clear()
                await self._try_all(queue)
                async with self._rested:
                    self._rested.notify_all()
                if not queue.entries:
                    break
                soon = min(pause, *(entry.seconds_left for entry in queue.entries))
                try:
                    async with asyncio.timeout(max(soon, FIRST_LOOK_SECONDS)):
                        await queue.changed.wait()
                    pause = FIRST_LOOK_SECONDS
                except TimeoutError:
                    pause = min(pause * 1.5, LAST_LOOK_SECONDS)
        finally:
            del self._queues[queue.name]
            for entry in queue.entries:
                self._fail(entry, AgentmeshError(reason="the agent met a fault of its own; see its log"))

    async def _try_all(self, queue: _Queue) -> None:
        """Try each message in its order. Behind one that must wait, others wait too."""
        ahead: Receipt | None = None
        for entry in queue.in_order():
            if entry.ended.done():
                queue.entries.remove(entry)
                continue
            if self._move(entry, queue):
                continue
            entry.rests = self._must_rest(entry, ahead)
            if entry.rests:
                continue
            receipt = await self._try(entry, queue, ahead)
            if receipt is None and entry in queue.entries:
                return  # others go before it
            if receipt is None:
                continue
            if not is_end(receipt.state):
                entry.see(receipt)
                ahead = receipt
                continue
            queue.entries.remove(entry)
            self.end(entry, receipt)
            if entry.waits and queue.entries:
                await asyncio.sleep(self._config.pause)

    def _must_rest(self, entry: Entry, ahead: Receipt | None) -> bool:
        """Tell whether a message waits without being tried: behind another, or because the agent stops."""
        is_held_up = self._closed or (ahead is not None and not entry.message.force)
        return entry.waits and is_held_up and entry.seconds_left > 0 and not entry.is_one_too_many

    async def _try(self, entry: Entry, queue: _Queue, ahead: Receipt | None) -> Receipt | None:
        """Give a message its turn; returns how far it got, or None when it has none here, or not yet."""
        pane = await self._turns.find_pane(entry)
        if self._move(entry, queue, pane):
            return None
        try:
            return await self._turns.take(entry, pane, ahead)
        except OutOfTurn:
            # What goes before it was stored first though it came here later, is in another queue, from where it moves,
            # or was left by another process.
            await self.take_up(before=entry.message)
            self.look_again()
            await asyncio.sleep(LOCK_POLL_SECONDS)
        except StoreFailed as error:
            queue.entries.remove(entry)
            self._fail(entry, error)
        return None

    def end(self, entry: Entry, receipt: Receipt) -> None:
        """Note that a message has ended."""
        if not entry.ended.done():
            log.info("message ended", message=receipt.id, to=receipt.to, state=receipt.state)
            self._entries.pop(entry.message.id, None)
            entry.ended.set_result(receipt)
            entry.news.set()

    def _fail(self, entry: Entry, error: AgentmeshError) -> None:
        """End a message without a word on disk: of one that is stored, nothing can be said any more."""
        if entry.is_begun or entry.is_on_disk:
            message = entry.message
            state, now = State.UNCERTAIN, int(time.time())
            told = Receipt(id=message.id, to=message.to, host=message.host, state=state, time=now, detail=str(error))
            self.end(entry, told)
        elif not entry.ended.done():
            self._entries.pop(entry.message.id, None)
            entry.ended.set_exception(error)
            entry.ended.exception()  # nobody may be waiting for it
            entry.news.set()

    def _move(self, entry: Entry, queue: _Queue, pane: Pane | None = None) -> bool:
        """Bring a message into another queue, if its address means another pane by now; tell whether that was so."""
        pane = pane or self._turns.known_pane(entry.message)
        if pane is None or queue_name(pane) == queue.name:
            return False
        queue.entries.remove(entry)
        self._queue(queue_name(pane), of_pane=True).add(entry)
        return True


async def found(stored: inbox.Stored) -> inbox.Stored:
    """Return what is on disk already."""
    return stored
