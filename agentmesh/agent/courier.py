"""Messages for other hosts: brought there in order, asked after when a link was cut, until their end is known.

Of the messages to one address the next leaves when the one before it is known to be stored: so no cut, no second link
and no restart can change their order.
"""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from typing import Protocol

from agentmesh.agent.tasks import Tasks
from agentmesh.core.delivery import Event, is_end
from agentmesh.core.model import Message, Receipt
from agentmesh.core.wire import Deliver, Frame, Withdraw
from agentmesh.errors import Unreachable
from agentmesh.store import outbox
from agentmesh.store.database import Database

STORED_SECONDS = 15.0
"""How long a peer may take to say that it has stored a message."""
WITHDRAW_SECONDS = 2.0
"""How long is waited for a host to say that a message is taken back."""
GRACE_SECONDS = 5.0
"""How long after its time a message may still be asked about while its host can't be reached."""
ASK_SECONDS = 300.0
"""How long after the last word of a host it is asked again about a message that waits there."""
ASK_AGAIN_SECONDS = 1.0
"""How soon a host is asked again that was just typing a message, or whose link broke just then."""
ENDED_SECONDS = 90.0
"""How long a message may take from there to its end, beyond its own patience: others may be queued before it."""


class Carrier(Protocol):
    """What brings frames to other hosts."""

    def dial(self, host: str) -> None:
        """Dial a host at once, if there is no link to it, instead of when that is due."""

    async def reach(self, host: str) -> None:
        """Have a link to a host, dialling it if need be. Raises Unreachable."""

    async def send(self, host: str, frame: Frame) -> None:
        """Send a frame to a host, dialling it if need be. Raises Unreachable."""

    async def wait_for_link(self, host: str) -> None:
        """Wait until there is a link to a host."""


class _Errand:
    """A message on its way."""

    def __init__(self, message: Message, *, sent: bool) -> None:
        self.message = message
        self.sent = sent
        """Its host may have heard of it."""
        self.receipt: Receipt | None = None
        """What its host has said last."""
        self.changed = asyncio.Event()
        self.asked = False
        """Its host has been told of it as it stands, over a link that still lives."""
        self.rests = True
        """It waits for its turn, or for its host to be reached."""
        self.withdrawn = False
        self.is_given_up = False
        """Its host has left the mesh."""
        self.ended = asyncio.Event()

    @property
    def patience(self) -> int:
        """Seconds that it may still wait."""
        return max(1, self.message.expires - int(time.time())) if self.message.expires else 0

    @property
    def frame(self) -> Frame:
        """What its host has to be told now."""
        return Withdraw(self.message) if self.withdrawn else Deliver(self.message, self.patience)

    def ask_again(self) -> None:
        self.asked = False
        self.changed.set()

    async def heard(self, before: Receipt | None, seconds: float) -> Receipt | None:
        """Wait for its host to say something; None when it has to be asked again. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while self.asked and self.receipt is before:
                self.changed.clear()
                await self.changed.wait()
        return self.receipt if self.receipt is not before else None


class Courier:
    """Carries this host's messages to other hosts."""

    def __init__(self, database: Database, tasks: Tasks) -> None:
        self._database = database
        self._tasks = tasks
        self._errands: dict[str, _Errand] = {}
        self._lanes: dict[tuple[str, str], asyncio.Lock] = {}
        self._moved = asyncio.Condition()

    async def carry(self, message: Message, carrier: Carrier, *, sent: bool = False) -> Receipt:
        """Bring an accepted message, which may have been ``sent`` before, to its host; returns the receipt of its end.

        One that can't wait ends as soon as its host can't be reached; others when their time is over. Where that leaves
        it uncertain, its host is asked as soon as that can be.
        """
        errand = self._errands[message.id] = _Errand(message, sent=sent)
        reason = ""
        try:
            async with asyncio.timeout(errand.patience + ENDED_SECONDS if message.expires else None):
                return await self._carry(errand, carrier)
        except Unreachable as error:
            reason = str(error)
        except TimeoutError:
            reason = f"{message.host} has not answered."
        except _NeverLeft as error:
            return await self._end(message, error.event, error.detail)
        finally:
            del self._errands[message.id]
            errand.ended.set()
        if not errand.sent:
            return await self._end(message, Event.MISS, reason)
        if not errand.asked:
            reason = f"The link broke before {message.host} told of its end, and {reason}"
        self.clear_up(message, carrier)
        return await self._end(message, Event.LOSE, reason)

    def clear_up(self, message: Message, carrier: Carrier) -> None:
        """Learn what became of a message that this host is uncertain of, whenever that can be."""
        if message.id not in self._errands:
            self._tasks.start_supervised(f"clear up {message.id}", self._clear_up(message, carrier))

    def carries(self, message: Message) -> bool:
        """Tell whether a message is on its way already."""
        return message.id in self._errands

    async def record(self, receipt: Receipt) -> None:
        """Note what a peer says of a message of this host."""
        await self._database.write(outbox.record, receipt)
        errand = self._errands.get(receipt.id)
        if errand and errand.message.host == receipt.host:
            errand.receipt = receipt
            errand.changed.set()
            await self._tell_of_a_move()

    def link_lost(self, host: str) -> None:
        """Ask again for the messages that a host has not ended: one of them may have been lost with the link."""
        for errand in self._errands.values():
            if errand.message.host == host:
                errand.ask_again()

    async def withdraw(self, message: Message) -> None:
        """Take a message back, at once or as soon as its host can be asked, if it has not been typed by then."""
        errand = self._errands.get(message.id)
        if errand is None:
            return
        errand.withdrawn = True
        errand.ask_again()
        if errand.sent:
            with suppress(TimeoutError):
                async with asyncio.timeout(WITHDRAW_SECONDS):
                    await errand.ended.wait()
        else:
            await self._end(message, Event.WITHDRAW, "")

    async def give_up(self, host: str) -> int:
        """End every message for a host that has left the mesh; returns how many there were."""
        errands = [errand for errand in self._errands.values() if errand.message.host == host]
        for errand in errands:
            errand.is_given_up = True
            errand.ask_again()
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHDRAW_SECONDS):
                await asyncio.gather(*(errand.ended.wait() for errand in errands))
        return sum(errand.ended.is_set() for errand in errands)

    async def settle(self, seconds: float) -> None:
        """Wait until every message on its way is stored by its host, or waits for a link; at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(
                    lambda: all(errand.receipt is not None or errand.rests for errand in self._errands.values())
                )

    async def _carry(self, errand: _Errand, carrier: Carrier) -> Receipt:
        message = errand.message
        async with AsyncExitStack() as lane:
            await self._enter_lane(lane, message, carrier)
            errand.rests = False
            while True:
                self._check(errand)
                try:
                    return await self._ask(errand, carrier, lane)
                except (Unreachable, TimeoutError) as error:
                    errand.asked = False
                    if time.time() > message.expires + GRACE_SECONDS:
                        raise
                    await self._wait_for_link(errand, carrier, str(error))
                except _AskAgain:
                    pass

    async def _clear_up(self, message: Message, carrier: Carrier) -> None:
        """Ask a message's host for its end, by taking it back: its sender has been told, and may have sent it again."""
        errand = self._errands[message.id] = _Errand(message, sent=True)
        errand.withdrawn = True
        try:
            while True:
                await carrier.wait_for_link(message.host)
                errand.asked, before = True, errand.receipt
                with suppress(TimeoutError, Unreachable):
                    await carrier.send(message.host, errand.frame)
                    heard = await errand.heard(before, STORED_SECONDS)
                    if heard is not None and is_end(heard.state):
                        return
                await asyncio.sleep(ASK_AGAIN_SECONDS)
        finally:
            del self._errands[message.id]
            errand.ended.set()

    async def _enter_lane(self, lane: AsyncExitStack, message: Message, carrier: Carrier) -> None:
        """Wait for a message's turn; one that can't wait has its turn soon, or never."""
        turn = self._lanes.setdefault((message.host, message.to), asyncio.Lock())
        if message.expires:
            carrier.dial(message.host)
        else:
            await carrier.reach(message.host)
        async with asyncio.timeout(None if message.expires else STORED_SECONDS):
            await lane.enter_async_context(turn)

    @staticmethod
    async def _ask(errand: _Errand, carrier: Carrier, lane: AsyncExitStack) -> Receipt:
        """Tell a message's host of it, and wait for its end. Raises Unreachable, TimeoutError, _AskAgain."""
        heard, seconds, sent = errand.receipt, STORED_SECONDS, errand.sent
        errand.asked = errand.sent = True
        try:
            await carrier.send(errand.message.host, errand.frame)
        except Unreachable:
            errand.sent = sent
            raise
        while True:
            heard = await errand.heard(heard, seconds)
            if heard is None:
                raise _AskAgain
            await lane.aclose()
            if is_end(heard.state):
                return heard
            seconds = min(errand.patience + ENDED_SECONDS, ASK_SECONDS)

    @staticmethod
    def _check(errand: _Errand) -> None:
        """Raise _NeverLeft when a message must not leave any more, Unreachable when its host has left the mesh."""
        if errand.is_given_up:
            raise Unreachable(host=errand.message.host, reason="it was removed from the mesh")
        if errand.sent:
            return
        if errand.withdrawn:
            raise _NeverLeft(Event.WITHDRAW, "")
        if errand.message.expires and errand.message.expires <= time.time():
            raise _NeverLeft(Event.EXPIRE, f"{errand.message.host} could not be reached in time.")

    async def _wait_for_link(self, errand: _Errand, carrier: Carrier, reason: str) -> None:
        """Wait until a message's host can be reached again, or there is news of the message, or its time is over."""
        errand.changed.clear()
        await self._database.write(outbox.note, errand.message.id, reason)
        waits = {
            asyncio.ensure_future(carrier.wait_for_link(errand.message.host)),
            asyncio.ensure_future(errand.changed.wait()),
        }
        errand.rests = True
        await self._tell_of_a_move()
        try:
            await asyncio.wait(waits, timeout=errand.patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            errand.rests = False
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _tell_of_a_move(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _end(self, message: Message, event: Event, detail: str) -> Receipt:
        return await self._database.write(outbox.advance, message, event, detail, int(time.time()))


class _AskAgain(Exception):
    """What a message's host knows of it may be out of date."""


class _NeverLeft(Exception):
    """A message ends before it was sent to its host."""

    def __init__(self, event: Event, detail: str) -> None:
        super().__init__(event)
        self.event = event
        self.detail = detail
