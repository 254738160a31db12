"""A message's turn at a pane of this host: delivered if that can be now, alone among all processes; else held back."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from zlib import crc32

import msgspec

from agentmesh.adapters.files import locked
from agentmesh.agent.replication import Replica
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.typist import Typist
from agentmesh.core.delivery import Event, IllegalEvent, State, is_end
from agentmesh.core.model import Message, Pane, Receipt
from agentmesh.core.readiness import Readiness
from agentmesh.core.registry import resolve
from agentmesh.errors import PaneGone, PaneReplaced, TmuxFailed, UnknownAddress
from agentmesh.store import inbox
from agentmesh.store.database import Database

LOCK_POLL_SECONDS = 0.01
UNKNOWN_LOCKS = 16
_NOT_SEEN = {"", Readiness.REPLACED}
"""What is known of a pane that could not be asked, or has another process: a scan tells more."""

Storing = Awaitable[inbox.Stored]
"""A message's way to the disk."""


class Entry:
    """One message in its pane's queue."""

    def __init__(self, message: Message, stored: Storing, until: float) -> None:
        self.message = message
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
        """As many as may wait for its pane wait before it."""

    @property
    def waits(self) -> bool:
        """Whether it may wait."""
        return self.message.expires > 0

    @property
    def seconds_left(self) -> float:
        """How long until its time is over."""
        return self.until - time.time()

    @property
    def place(self) -> float:
        """Where it stands among all that came, as the disk says; what isn't there yet comes last."""
        return self.stored.result().place if self.is_on_disk else math.inf

    @property
    def is_on_disk(self) -> bool:
        """Whether it is stored: it may be taken up again, whatever its sender is told."""
        return self.stored.done() and not self.stored.cancelled() and self.stored.exception() is None

    def see(self, receipt: Receipt) -> None:
        """Note why it waits."""
        self.rests = True
        if self.seen is None or self.seen.readiness != receipt.readiness:
            self.news.set()
        self.seen = receipt


class Turns:
    """Gives messages their turns."""

    def __init__(self, locks: Path, database: Database, replica: Replica, scanner: Scanner, typist: Typist) -> None:
        self._locks = locks
        self._database = database
        self._replica = replica
        self._scanner = scanner
        self._typist = typist

    def known_pane(self, message: Message) -> Pane | None:
        """Return the pane that a message's address means, as far as is known."""
        return next((pane for pane in self._replica.own.panes if pane.address == message.to), None)

    async def find_pane(self, entry: Entry) -> Pane | None:
        """Return the pane that a message's address means; look again, once, before saying that there is none."""
        pane = self.known_pane(entry.message)
        if pane is not None or entry.seen is not None:
            return pane
        await self._scanner.scan()
        own = self._replica.own
        try:
            return resolve({own.host: own}, entry.message.to, int(time.time()))[0].pane
        except UnknownAddress:
            return None

    async def take(self, entry: Entry, pane: Pane | None, ahead: Receipt | None) -> Receipt:
        """Deliver a message if that can be now; returns how far it got. ``ahead`` is what waits before it.

        Raises OutOfTurn when another process has left an older message for the same address; StoreFailed.
        """
        async with self.alone(queue_name(pane) if pane else _lock_of_unknown(entry.message.to)):
            held_back = await self._hold_back(entry, pane, ahead)
            if held_back is not None or pane is None:
                return held_back or await self.read(entry)
            try:
                receipt = await self._deliver(entry, pane)
            except IllegalEvent:
                receipt = await self.read(entry)
            except (PaneGone, PaneReplaced, TmuxFailed) as error:
                receipt = await self._break_off(entry, str(error))
        if receipt.state is State.FAILED or (receipt.state is State.STORED and receipt.readiness in _NOT_SEEN):
            await self._scanner.scan()
        return receipt

    async def withdraw(self, entry: Entry) -> Receipt:
        """End a message that nothing has been typed of. Raises IllegalEvent for another."""
        return await self._journal(await self.read(entry), Event.WITHDRAW)

    async def read(self, entry: Entry) -> Receipt:
        """Return how far a message got. Under its pane's lock that stays so."""
        stored = await asyncio.shield(entry.stored)
        if stored.is_new and entry.is_fresh:
            entry.is_fresh = False
            return stored.receipt
        return await self._database.write(inbox.find, entry.message.id) or stored.receipt

    async def _deliver(self, entry: Entry, pane: Pane) -> Receipt:
        """Deliver a message into its pane. Where that has another process than was registered, scan anew, once."""
        server, journal = self._scanner.server(pane.server), partial(self._journal_of, entry)
        try:
            storing = asyncio.ensure_future(self.read(entry))
            return await self._typist.deliver(entry.message, pane, server, storing, journal)
        except PaneReplaced:
            # No hook of tmux tells of `respawn-pane`.
            await self._scanner.scan()
            known = self.known_pane(entry.message)
            if known is None or queue_name(known) != queue_name(pane):
                raise
            storing = asyncio.ensure_future(self.read(entry))
            return await self._typist.deliver(entry.message, known, server, storing, journal)

    async def _hold_back(self, entry: Entry, pane: Pane | None, ahead: Receipt | None) -> Receipt | None:
        """Say why a message isn't tried now, if so, and whether that is its end. What was begun is never held back."""
        event: Event | None = Event.REFUSE
        seen = entry.seen or Receipt(id="", to=entry.message.to, host="", state=State.STORED)
        if entry.seconds_left <= 0:
            event, detail = Event.EXPIRE, f"Its time was over before the pane was ready. {seen.detail}".rstrip()
        elif entry.is_one_too_many:
            detail = "As many messages as may wait for it do so already. See `agentmesh outbox`."
        elif ahead is not None and not entry.message.force:
            seen, detail = ahead, f"Another message waits for it already. {ahead.detail}"
        elif pane is None:
            event = None if entry.waits else Event.FAIL
            detail = str(UnknownAddress(address=entry.message.to, hint=""))
        else:
            return None
        receipt = await self.read(entry)
        if is_end(receipt.state):
            return receipt
        if receipt.state is not State.STORED:
            return None if pane is not None else await self._journal(receipt, Event.LOSE)
        told = msgspec.structs.replace(receipt, detail=detail, readiness=seen.readiness, screen=seen.screen)
        return told if event is None else await self._journal(told, event)

    async def _break_off(self, entry: Entry, detail: str) -> Receipt:
        """Stop where the pane or tmux failed: what can still wait is tried again later, if its pane may be there."""
        receipt = msgspec.structs.replace(await self.read(entry), detail=detail)
        if is_end(receipt.state) or (entry.waits and entry.seconds_left > 0):
            return receipt
        if receipt.state is not State.STORED:
            return await self._journal(receipt, Event.LOSE)
        return await self._journal(receipt, Event.EXPIRE if entry.waits else Event.FAIL)

    async def _journal_of(self, entry: Entry, receipt: Receipt, event: Event) -> Receipt:
        """Journal a step of a delivery. What can wait doesn't fail of a pane that was replaced, or can't be asked."""
        is_for_good = receipt.readiness == Readiness.DEAD
        if event is Event.FAIL and receipt.state is State.STORED and entry.waits and not is_for_good:
            return receipt
        receipt = await self._journal(receipt, event, in_turn=event is Event.PASTE and not entry.message.force)
        entry.is_begun = receipt.state is not State.STORED
        return receipt

    async def _journal(self, receipt: Receipt, event: Event, *, in_turn: bool = False) -> Receipt:
        return await self._database.write(inbox.advance, receipt, event, int(time.time()), in_turn=in_turn)

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """Hold a pane's lock against all other processes of this home."""
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(locked(self._locks / name.replace("/", "_"), wait=False))
                    break
                except BlockingIOError:
                    await asyncio.sleep(LOCK_POLL_SECONDS)
            yield


def _lock_of_unknown(address: str) -> str:
    """Return the name of the lock for an address that means no pane: of a few, however many addresses are made up."""
    return f"unknown-{crc32(address.encode()) % UNKNOWN_LOCKS}"


def queue_name(pane: Pane) -> str:
    """Return the name of a pane's queue and lock."""
    return f"{pane.server}{pane.pane}"
