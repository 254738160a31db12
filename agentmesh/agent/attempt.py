"""One message on its way into one pane: its journal, what is seen of the pane meanwhile, and how it may end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from agentmesh.adapters.tmux import TmuxServer
from agentmesh.agent.drops import Drops
from agentmesh.agent.sight import Eyes, Sight
from agentmesh.core.delivery import Event
from agentmesh.core.drop import announcement
from agentmesh.core.model import Message, Pane, Receipt
from agentmesh.core.readiness import ADVICE, Readiness
from agentmesh.core.screen import PaneFacts, last_lines
from agentmesh.core.text import tagged
from agentmesh.errors import AgentmeshError, PaneGone

FIRST_POLL_SECONDS = 0.001
LAST_POLL_SECONDS = 0.04
_AS_FILE = "it can't be typed there as it is, and was sent as the file "

Journal = Callable[[Receipt, Event], Awaitable[Receipt]]
"""Makes a step durable; returns the receipt in its new state."""


class Attempt:
    """What every way of delivering shares."""

    def __init__(
        self,
        message: Message,
        pane: Pane,
        server: TmuxServer,
        receipt: Receipt,
        journal: Journal,
        eyes: Eyes,
        drops: Drops,
        sight: Sight,
    ) -> None:
        self.message = message
        self.pane = pane
        self.server = server
        self.receipt = receipt
        self.eyes = eyes
        self.sight = sight
        """The pane as it was last judged."""
        self.text = tagged(message.sender, message.sent, message.body)
        self.history = 0
        """How many rows of history the text may reach into."""
        self._journal = journal
        self._drops = drops

    async def step(self, event: Event) -> Receipt:
        """Journal a step, with what the receipt says now."""
        self.receipt = await self._journal(self.receipt, event)
        return self.receipt

    async def begin(self) -> None:
        """Journal that the text is about to appear, in a pane of this readiness."""
        self.receipt = msgspec.structs.replace(self.receipt, readiness=self.sight.readiness)
        await self.step(Event.PASTE)

    async def hold(self, detail: str = "") -> Receipt:
        """Leave alone a pane that isn't ready: refuse the message, or let it wait, still stored, if it may."""
        if self.message.expires:
            self._tell(self.sight.readiness, detail, last_lines(self.sight.facts))
            return self.receipt
        return await self.turn_away(Event.REFUSE, detail)

    async def turn_away(self, event: Event, detail: str = "") -> Receipt:
        """End with nothing of the message in the pane, and say what was seen."""
        self._tell(self.sight.readiness, detail, last_lines(self.sight.facts))
        return await self.step(event)

    async def lose(self, detail: str) -> Receipt:
        """End without knowing whether the message was taken, and say what was seen."""
        self._tell(self.sight.readiness, f"{detail}.", await self._last_screen())
        return await self.step(Event.LOSE)

    async def watch(self, first: PaneFacts, seconds: float) -> AsyncIterator[PaneFacts]:
        """Yield the pane again and again, quickly at first, for so long."""
        until = time.monotonic() + seconds
        pause = FIRST_POLL_SECONDS
        yield first
        while time.monotonic() < until:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LAST_POLL_SECONDS)
            yield await self.look()

    async def look(self) -> PaneFacts:
        """Look at the pane as far back as the text may reach.

        Raises PaneGone also for a pane that only has its id: a tmux server that was started anew counts from 0 again.
        """
        facts = await self.server.look(self.pane.pane, self.history)
        if facts.pid != self.pane.pid and not facts.dead:
            raise PaneGone(pane=self.pane.pane)
        return facts

    def note(self, text: str) -> None:
        """Add something that the sender should know although the message goes through."""
        if text not in self.receipt.note:
            notes = f"{self.receipt.note}; {text}" if self.receipt.note else text
            self.receipt = msgspec.structs.replace(self.receipt, note=notes)

    async def send_as_file(self) -> None:
        """Put a body that can't be typed here into a file, and deliver one line that tells of it."""
        name = f"message-{self.message.id[:8]}.txt"
        path, size = await self._drops.keep_text(self.message.body, name, self.message.sender)
        self.text = tagged(self.message.sender, self.message.sent, announcement(path, size, ""))
        self.note(f"{_AS_FILE}{path}")

    @property
    def was_sent_as_file(self) -> bool:
        """Tell whether an earlier attempt has made a file of the body."""
        return _AS_FILE in self.receipt.note

    def _tell(self, readiness: Readiness, detail: str, screen: tuple[str, ...]) -> None:
        self.receipt = msgspec.structs.replace(
            self.receipt, readiness=readiness, detail=detail or ADVICE.get(readiness, ""), screen=screen
        )

    async def _last_screen(self) -> tuple[str, ...]:
        try:
            return last_lines(await self.server.look(self.pane.pane))
        except AgentmeshError:
            return ()
