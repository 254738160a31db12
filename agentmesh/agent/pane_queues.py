"""Messages that wait for a pane of this host: tried in the order they came, one at a time, alone among all processes.

A message that can't wait is tried at once, and refused when others before it must wait.
"""

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec

from agentmesh.adapters.files import locked
from agentmesh.agent.log import log
from agentmesh.agent.replication import Replica
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.tasks import Tasks
from agentmesh.agent.typist import Typist
from agentmesh.config import Queue as QueueConfig
from agentmesh.core.delivery import Event, IllegalEvent, State, is_end
from agentmesh.core.model import Message, Pane, Receipt
from agentmesh.core.readiness import Readiness
from agentmesh.core.registry import resolve
from agentmesh.errors import AgentmeshError, PaneGone, PaneReplaced, StoreFailed, TmuxFailed, UnknownAddress
from agentmesh.store import inbox
from agentmesh.store.database import Database

FIRST_LOOK_SECONDS = 0.1
LAST_LOOK_SECONDS = 2.0
"""How soon a pane that wasn't ready is looked at again, and how seldom when it stays so."""
LOCK_POLL_SECONDS = 0.01
_NOT_SEEN = {"", Readiness.REPLACED}
"""What is known of a pane that could not be asked, or has another process: a scan tells more."""

Stored = Awaitable[tuple[Receipt, bool]]
"""A message's way to the disk: its receipt, and whether it is new there."""


class Entry:
    """One message in its pane's queue."""

    def __init__(self, message: Message, stored: Stored, number: int, until: float) -> None:
        self.message = message
        self.number = number
        self.stored = asyncio.ensure_future(stored)
        self.ended: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.until = until
        self.seen: Receipt | None = None
        """Why it waits, as it was seen last."""
        self.news = asyncio.Event()
        """It has ended, or waits for another reason than before."""
        self.rests = False
        """It has been tried, and must wait."""
        self.is_fresh = True
        """Its receipt is what ``stored`` says."""
        self.is_begun = False
        """Something of it may be in its pane."""
        self.is_one_too_many = False

    @property
    def waits(self) -> bool:
        """Whether it may wait."""
        return self.message.expires > 0

    @property
    def seconds_left(self) -> float:
        """How long until its time is over."""
        return self.until - time.time()

    def see(self, receipt: Receipt) -> None:
        """Note why it waits."""
        self.rests = True
        if self.seen is None or self.seen.readiness != receipt.readiness:
            self.news.set()
        self.seen = receipt


class _Queue:
    """The messages for one pane."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[Entry] = []
        self.changed = asyncio.Event()

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.entries.sort(key=lambda entry: entry.number)
        self.changed.set()


class PaneQueues:
    """Every queue of this host."""

    def __init__(
        self,
        locks: Path,
        config: QueueConfig,
        database: Database,
        replica: Replica,
        scanner: Scanner,
        typist: Typist,
        tasks: Tasks,
    ) -> None:
        self._locks = locks
        self._config = config
        self._database = database
        self._replica = replica
        self._scanner = scanner
        self._typist = typist
        self._tasks = tasks
        self._queues: dict[str, _Queue] = {}
        self._entries: dict[str, Entry] = {}
        self._numbers = itertools.count()
        self._rested = asyncio.Condition()
        self._closed = False

    @property
    def entries(self) -> list[Entry]:
        """All messages that have not ended, in the order they came."""
        return list(self._entries.values())

    def put(self, message: Message, store: Callable[[], Stored], until: float = 0) -> Entry:
        """Add a message, which is being stored; one that is here already stays in its place.

        ``until`` is when its time is over, if the message doesn't say.
        """
        if message.id in self._entries:
            return self._entries[message.id]
        entry = Entry(message, store(), next(self._numbers), message.expires or until or math.inf)
        self._entries[message.id] = entry
        pane = self._known(message)
        queue = self._queue(_name(pane) if pane else message.to)
        entry.is_one_too_many = entry.waits and sum(other.waits for other in queue.entries) >= self._config.longest
        queue.add(entry)
        return entry

    async def withdraw(self, message: Message) -> None:
        """End a message that nothing has been typed of; another is left to its own end."""
        if entry := self._entries.get(message.id):
            receipt = await self._read(entry)
            with suppress(IllegalEvent):
                self.end(entry, await self._journal(receipt, Event.WITHDRAW))

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

    def _queue(self, name: str) -> _Queue:
        if name not in self._queues:
            queue = self._queues[name] = _Queue(name)
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
                try:
                    async with asyncio.timeout(min(pause, *(entry.seconds_left for entry in queue.entries))):
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
        batch = tuple(queue.entries)
        for entry in batch:
            if entry.ended.done():
                queue.entries.remove(entry)
                continue
            if self._has_moved(entry, queue):
                continue
            must_wait = self._closed or (ahead is not None and not entry.message.force)
            if entry.waits and must_wait and entry.seconds_left > 0 and not entry.is_one_too_many:
                entry.rests = True
                continue
            entry.rests = False
            await self._wait_for_older(entry, queue)
            if any(other.number < entry.number and other not in batch for other in queue.entries):
                return  # older ones have just been brought here
            try:
                receipt = await self._try(entry, queue, ahead)
            except StoreFailed as error:
                queue.entries.remove(entry)
                self._fail(entry, error)
                continue
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

    async def _try(self, entry: Entry, queue: _Queue, ahead: Receipt | None) -> Receipt | None:
        """Deliver a message if that can be now; returns how far it got, or None if it belongs into another queue."""
        pane = await self._find(entry)
        if self._has_moved(entry, queue, pane):
            return None
        async with self._alone(queue.name):
            held_back = await self._hold_back(entry, pane, ahead)
            if held_back is not None or pane is None:
                return held_back
            try:
                receipt = await self._deliver(entry, pane)
            except IllegalEvent:
                receipt = await self._read(entry)
            except (PaneGone, PaneReplaced, TmuxFailed) as error:
                receipt = await self._break_off(entry, str(error))
        if receipt.state is State.FAILED or (receipt.state is State.STORED and receipt.readiness in _NOT_SEEN):
            await self._scanner.scan()
        return receipt

    async def _deliver(self, entry: Entry, pane: Pane) -> Receipt:
        """Deliver a message into its pane. Where that has another process than was registered, scan anew, once."""
        server, journal = self._scanner.server(pane.server), partial(self._journal_of, entry)
        try:
            storing = asyncio.ensure_future(self._read(entry))
            return await self._typist.deliver(entry.message, pane, server, storing, journal)
        except PaneReplaced:
            # No hook of tmux tells of `respawn-pane`.
            await self._scanner.scan()
            known = self._known(entry.message)
            if known is None or _name(known) != _name(pane):
                raise
            storing = asyncio.ensure_future(self._read(entry))
            return await self._typist.deliver(entry.message, known, server, storing, journal)

    async def _hold_back(self, entry: Entry, pane: Pane | None, ahead: Receipt | None) -> Receipt | None:
        """Say why a message isn't tried now, if so, and whether that is its end. What was begun is never held back."""
        event: Event | None = Event.REFUSE
        seen = entry.seen or Receipt(id="", to=entry.message.to, host="", state=State.STORED)
        if entry.seconds_left <= 0:
            event, detail = Event.EXPIRE, f"Its time was over before the pane was ready. {seen.detail}".rstrip()
        elif entry.is_one_too_many:
            detail = f"{self._config.longest} messages wait for it already. See `agentmesh outbox`."
        elif ahead is not None and not entry.message.force:
            seen, detail = ahead, f"Another message waits for it already. {ahead.detail}"
        elif pane is None:
            event, detail = (
                (None if entry.waits else Event.FAIL),
                str(UnknownAddress(address=entry.message.to, hint="")),
            )
        else:
            return None
        receipt = await self._read(entry)
        if is_end(receipt.state):
            return receipt
        if receipt.state is not State.STORED:
            return None if pane is not None else await self._journal(receipt, Event.LOSE)
        told = msgspec.structs.replace(receipt, detail=detail, readiness=seen.readiness, screen=seen.screen)
        return told if event is None else await self._journal(told, event)

    async def _break_off(self, entry: Entry, detail: str) -> Receipt:
        """Stop where the pane or tmux failed: what can wait is tried again later, if its pane may still be there."""
        receipt = msgspec.structs.replace(await self._read(entry), detail=detail)
        if is_end(receipt.state) or entry.waits:
            return receipt
        return await self._journal(receipt, Event.FAIL if receipt.state is State.STORED else Event.LOSE)

    async def _read(self, entry: Entry) -> Receipt:
        """Return how far a message got. Under its pane's lock that stays so."""
        receipt, is_new = await asyncio.shield(entry.stored)
        if is_new and entry.is_fresh:
            entry.is_fresh = False
            return receipt
        return await self._database.write(inbox.find, entry.message.id) or receipt

    async def _journal_of(self, entry: Entry, receipt: Receipt, event: Event) -> Receipt:
        """Journal a step of a delivery. What can wait doesn't fail of a pane that was replaced, or can't be asked."""
        is_for_good = receipt.readiness == Readiness.DEAD
        if event is Event.FAIL and receipt.state is State.STORED and entry.waits and not is_for_good:
            return receipt
        receipt = await self._journal(receipt, event)
        entry.is_begun = receipt.state is not State.STORED
        return receipt

    async def _journal(self, receipt: Receipt, event: Event) -> Receipt:
        return await self._database.write(inbox.advance, receipt, event, int(time.time()))

    def end(self, entry: Entry, receipt: Receipt) -> None:
        """Note that a message has ended."""
        if not entry.ended.done():
            log.info("message ended", message=receipt.id, to=receipt.to, state=receipt.state)
            self._entries.pop(entry.message.id, None)
            entry.ended.set_result(receipt)
            entry.news.set()

    def _fail(self, entry: Entry, error: AgentmeshError) -> None:
        """End a message without a word on disk: of what may be in its pane, nothing can be said any more."""
        if entry.is_begun:
            message = entry.message
            state, now = State.UNCERTAIN, int(time.time())
            told = Receipt(id=message.id, to=message.to, host=message.host, state=state, time=now, detail=str(error))
            self.end(entry, told)
        elif not entry.ended.done():
            self._entries.pop(entry.message.id, None)
            entry.ended.set_exception(error)
            entry.ended.exception()  # nobody may be waiting for it
            entry.news.set()

    def _known(self, message: Message) -> Pane | None:
        return next((pane for pane in self._replica.own.panes if pane.address == message.to), None)

    def _has_moved(self, entry: Entry, queue: _Queue, pane: Pane | None = None) -> bool:
        """Bring a message into another queue, if its address means another pane by now; tell whether that was so."""
        pane = pane or self._known(entry.message)
        if pane is None or _name(pane) == queue.name:
            return False
        queue.entries.remove(entry)
        self._queue(_name(pane)).add(entry)
        return True

    async def _wait_for_older(self, entry: Entry, queue: _Queue) -> None:
        """Wait while another queue still holds an older message for the same address, whose pane has changed."""
        while self._known(entry.message) and any(
            older.message.to == entry.message.to and older.number < entry.number
            for other in self._queues.values()
            if other is not queue
            for older in other.entries
        ):
            self.look_again()
            await asyncio.sleep(LOCK_POLL_SECONDS)

    async def _find(self, entry: Entry) -> Pane | None:
        """Return the pane that an address of this host means now; look again before saying that there is none."""
        pane = self._known(entry.message)
        if pane is not None or entry.seen is not None:
            return pane
        await self._scanner.scan()
        own = self._replica.own
        try:
            return resolve({own.host: own}, entry.message.to, int(time.time()))[0].pane
        except UnknownAddress:
            return None

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        """Hold a pane's lock against all other processes of this home."""
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(locked(self._locks / name.replace("/", "_"), wait=False))
                    break
                except BlockingIOError:
                    await asyncio.sleep(LOCK_POLL_SECONDS)
            yield


def _name(pane: Pane) -> str:
    """Return the name of a pane's queue and lock."""
    return f"{pane.server}{pane.pane}"
