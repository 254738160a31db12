"""Put one message into one pane, and prove what became of it. The caller holds the pane's lock.

The order of steps, and why each is there: look, decide, journal, paste, see the text, settle, Enter, see it taken.
No Enter unless our own text, whole, has been seen waiting; no success unless it was seen to go.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec

from agentmesh.adapters import tty
from agentmesh.adapters.tmux import TmuxServer
from agentmesh.agent.drops import Drops
from agentmesh.core.box import BoxReading, BoxState, read_box
from agentmesh.core.delivery import Event, State, is_end
from agentmesh.core.drop import announcement
from agentmesh.core.model import Box, Message, Pane, Profile, Receipt
from agentmesh.core.readiness import ADVICE, Action, Readiness, TtyFacts, action_for, assess
from agentmesh.core.screen import PaneFacts, before_cursor, last_lines, plain, waits_at_cursor
from agentmesh.core.text import squash, tagged
from agentmesh.errors import AgentmeshError, PaneGone, TmuxFailed

SEE_SECONDS = 3.0
"""How long pasted text may take to appear."""
TAKE_SECONDS = 1.5
"""How long a program may take to accept it after Enter."""
FIRST_POLL_SECONDS = 0.004
LAST_POLL_SECONDS = 0.04
MOST_ENTERS = 3
LONGEST_LINE = 4000
"""Bytes of a line that the kernel collects: N_TTY's buffer has 4096 (termios(3), canonical mode)."""
LONGEST_DISPLAY = 2000
"""Bytes that are put on a person's screen; more is a file."""

Storing = asyncio.Future[Receipt]
"""A message's way to the disk: its receipt, as it stands there."""

Journal = Callable[[Receipt, Event], Awaitable[Receipt]]
"""Makes a step durable; returns the receipt in its new state."""

_INTERRUPTED = "The agent stopped while it typed this message."


class Sight(msgspec.Struct, frozen=True):
    """A pane as all sensors saw it at one moment."""

    facts: PaneFacts
    tty: TtyFacts | None
    profile: Profile | None
    readiness: Readiness


class Typist:
    """Types on this host's panes."""

    def __init__(self, profiles: Mapping[str, Profile], drops: Drops) -> None:
        self._profiles = profiles
        self._by_process = {name: profile for profile in profiles.values() for name in profile.processes}
        self._drops = drops

    async def look(self, server: TmuxServer, pane: Pane) -> Sight:
        """Ask tmux and the kernel what a pane is. Raises PaneGone, TmuxFailed."""
        facts = await server.look(pane.pane)
        return self._judge(facts, pane)

    async def deliver(
        self, message: Message, pane: Pane, server: TmuxServer, storing: Storing, journal: Journal
    ) -> Receipt:
        """Do with a message what its receipt and the pane's readiness call for; returns the receipt of its end.

        A message that may wait (``expires``) comes back still stored, with what was seen, when the pane isn't ready.
        """
        # A look types nothing, so it needn't wait for the disk.
        receipt, seen = await asyncio.gather(storing, self._glance(server, pane))
        if is_end(receipt.state):
            return receipt
        receipt = msgspec.structs.replace(receipt, target=pane.target)
        if receipt.state is not State.STORED:
            return await journal(msgspec.structs.replace(receipt, detail=_INTERRUPTED), Event.LOSE)
        try:
            if isinstance(seen, AgentmeshError):
                raise seen
            sight, action = await self._decide(seen, server, pane, force=message.force)
        except (PaneGone, TmuxFailed) as error:
            return await journal(msgspec.structs.replace(receipt, detail=str(error)), Event.FAIL)
        return await self._act(_Delivery(message, pane, server, sight, receipt, journal, self), action)

    @staticmethod
    async def _act(delivery: "_Delivery", action: Action) -> Receipt:
        match action:
            case Action.FILL_BOX:
                return await delivery.fill_box()
            case Action.TYPE_LINE:
                return await delivery.type_line()
            case Action.DISPLAY:
                return await delivery.display()
            case Action.DENY:
                return await delivery.turn_away(Event.DENY)
            case Action.FAIL:
                return await delivery.turn_away(Event.FAIL)
            case Action.REFUSE | Action.LEAVE_MODE | Action.DISMISS:
                return await delivery.hold()

    async def _glance(self, server: TmuxServer, pane: Pane) -> Sight | AgentmeshError:
        try:
            return await self.look(server, pane)
        except (PaneGone, TmuxFailed) as error:
            return error

    async def _decide(self, sight: Sight, server: TmuxServer, pane: Pane, *, force: bool) -> tuple[Sight, Action]:
        """Say what is to be done with a pane as it is seen. A full-screen program must look the same twice."""
        action = action_for(sight.readiness, force=force)
        if action is Action.LEAVE_MODE:
            await server.leave_mode(pane.pane)
            sight = await self.look(server, pane)
            action = action_for(sight.readiness, force=False)
        if action is Action.FILL_BOX:
            again = await self.look(server, pane)
            if again.readiness is not sight.readiness:
                return again, Action.REFUSE
        return sight, action

    def observe(self, facts: PaneFacts) -> TtyFacts | None:
        """Ask the kernel about a pane's terminal."""
        return tty.observe(facts, self._profiles)

    async def keep_text(self, message: Message) -> tuple[str, int]:
        """Put a body that can't be typed into a file; returns its path and size."""
        return await self._drops.keep_text(message.body, f"message-{message.id[:8]}.txt", message.sender)

    def _judge(self, facts: PaneFacts, pane: Pane) -> Sight:
        if facts.pid != pane.pid and not facts.dead:
            return Sight(facts, None, None, Readiness.REPLACED)
        terminal = None if facts.dead else self.observe(facts)
        known = [self._by_process[name] for name in (terminal.programs if terminal else ()) if name in self._by_process]
        profile = next((profile for profile in known if profile.kind == "box"), known[0] if known else None)
        return Sight(facts, terminal, profile, assess(facts, terminal, profile, pane.program))


class _Delivery:
    """One message on its way into one pane."""

    def __init__(
        self,
        message: Message,
        pane: Pane,
        server: TmuxServer,
        sight: Sight,
        receipt: Receipt,
        journal: Journal,
        typist: Typist,
    ) -> None:
        self._message = message
        self._pane = pane.pane
        self._server = server
        self._sight = sight
        self._receipt = receipt
        self._journal = journal
        self._typist = typist
        self._text = tagged(message.sender, message.sent, message.body)
        self._history = 0

    async def hold(self, detail: str = "") -> Receipt:
        """Leave alone a pane that isn't ready: refuse the message, or let it wait, still stored, if it may."""
        if self._message.expires:
            self._tell_what_was_seen(detail)
            return self._receipt
        return await self.turn_away(Event.REFUSE, detail)

    async def turn_away(self, event: Event, detail: str = "") -> Receipt:
        """End without having typed anything, and say what was seen."""
        self._tell_what_was_seen(detail)
        return await self._step(event)

    def _tell_what_was_seen(self, detail: str) -> None:
        readiness = self._sight.readiness
        self._receipt = msgspec.structs.replace(
            self._receipt,
            readiness=readiness,
            detail=detail or ADVICE.get(readiness, ""),
            screen=last_lines(self._sight.facts),
        )

    async def type_line(self) -> Receipt:
        """Type one line into a program that reads lines, and prove by the kernel's count that it was read."""
        facts, terminal = self._sight.facts, self._sight.tty
        waiting = terminal.unread if terminal else 0
        if "\n" in self._text or len(self._text.encode()) + waiting > LONGEST_LINE:
            await self._send_as_file()
        if len(self._text.encode()) + waiting > LONGEST_LINE:
            return await self.hold("Its program has left too much of its input unread.")
        self._history = len(self._text) // facts.width + 2
        awaited = squash(before_cursor(facts) + self._text)
        if not await self._paste(self._text, lambda now: waits_at_cursor(now, awaited)):
            return self._receipt
        if not self._same_terminal():
            return await self._lose("The text is in the pane, but its program has changed; Enter was not pressed")
        await self._step(Event.SEE)
        now = await self._server.press_enter(self._pane, facts, self._history)
        if now is None:
            return await self._lose("The text is in the pane, but the pane has changed; Enter was not pressed")
        async for seen in self._watch(now, TAKE_SECONDS):
            taken = not waits_at_cursor(seen, awaited)
            if taken and self._unread() == 0:
                return await self._step(Event.TAKE)
        if taken:
            self._note("submitted, not read yet")
            return await self._step(Event.TAKE)
        return await self._lose("Enter was pressed, but the text still stands there")

    async def fill_box(self) -> Receipt:
        """Paste into a program's empty input box, press Enter, and see the box let go of the text."""
        profile = self._sight.profile
        if profile is None or profile.box is None:
            return await self.hold()
        box = profile.box
        if len(self._text) > box.longest or self._text.count("\n") >= box.most_lines:
            await self._send_as_file()
        awaited = squash(self._text)

        def holds_our_text(reading: BoxReading) -> bool:
            return reading.state is BoxState.FILLED and squash(reading.text) == awaited

        if not await self._paste(_ended_safely(self._text), lambda now: holds_our_text(read_box(now, profile))):
            return self._receipt
        if not await self._settled(box, lambda now: holds_our_text(read_box(now, profile))):
            return await self._lose("The text is in its input box, but something else came; Enter was not pressed")
        await self._step(Event.SEE)
        return await self._submit(profile, holds_our_text)

    async def _submit(self, profile: Profile, holds_our_text: Callable[[BoxReading], bool]) -> Receipt:
        """Press Enter until the box lets go; again only while our text, unchanged, is seen still waiting there."""
        for attempt in range(1, MOST_ENTERS + 1):
            now = await self._server.press_enter(self._pane, self._sight.facts, 0)
            if now is None:
                return await self._lose("The text is in its input box, but the pane has changed; Enter was not pressed")
            async for seen in self._watch(now, TAKE_SECONDS * attempt / MOST_ENTERS):
                reading = read_box(seen, profile)
                if reading.state in {BoxState.EMPTY, BoxState.BUSY} and squash(self._text) != squash(reading.text):
                    return await self._step(Event.TAKE)
            if not holds_our_text(reading):
                break
        return await self._lose("Enter was pressed, but the input box was not seen to take the text")

    async def display(self) -> Receipt:
        """Show the message on the terminal as write(1) does, above the prompt, which is drawn again below it."""
        facts = self._sight.facts
        if len(self._text.encode()) > LONGEST_DISPLAY:
            await self._send_as_file()
        prompt = facts.rows[facts.cursor_row] if facts.cursor_row < len(facts.rows) else ""
        lines = self._text.replace("\n", "\r\n")
        drawn = f"\r\x1b[K\x1b[0m{lines}\r\n{prompt}\x1b[0m\x1b[{facts.cursor_x + 1}G"
        self._history = sum(len(line) // facts.width + 1 for line in self._text.split("\n")) + 1
        await self._begin()
        try:
            tty.write(facts.tty, drawn)
        except TmuxFailed as error:
            self._receipt = msgspec.structs.replace(self._receipt, detail=str(error))
            return await self._step(Event.FAIL)
        shown = squash(self._text)
        now = await self._server.look(self._pane, self._history)
        async for seen in self._watch(now, SEE_SECONDS):
            if shown in squash("".join(plain(row) for row in seen.rows)):
                return await self._step(Event.SHOW)
        return await self._lose("It was written to the terminal, but didn't appear")

    async def _paste(self, text: str, is_seen: Callable[[PaneFacts], bool]) -> bool:
        """Journal, paste, and wait until the text is seen; otherwise the message has ended."""
        await self._begin()
        now = await self._server.paste(self._pane, text, self._message.id, self._sight.facts, self._history)
        if now is None:
            await self._step(Event.RETURN)
            await self.hold("The pane changed at the last moment; nothing was typed.")
            return False
        async for seen in self._watch(now, SEE_SECONDS):
            if is_seen(seen):
                return True
        await self._lose("It was pasted, but not seen whole in the pane; Enter was not pressed")
        return False

    async def _settled(self, box: Box, holds: Callable[[PaneFacts], bool]) -> bool:
        """Tell whether the box stands unchanged for its settle time."""
        until = time.monotonic() + box.settle
        while True:
            seen = await self._server.look(self._pane)
            if not holds(seen):
                return False
            if time.monotonic() >= until:
                return True
            await asyncio.sleep(LAST_POLL_SECONDS)

    async def _watch(self, first: PaneFacts, seconds: float) -> AsyncIterator[PaneFacts]:
        """Yield the pane again and again, quickly at first, for so long."""
        until = time.monotonic() + seconds
        pause = FIRST_POLL_SECONDS
        yield first
        while time.monotonic() < until:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LAST_POLL_SECONDS)
            yield await self._server.look(self._pane, self._history)

    def _same_terminal(self) -> bool:
        """Tell whether the terminal still is what was judged ready, just before Enter."""
        before, now = self._sight.tty, self._typist.observe(self._sight.facts)
        return (
            now is not None
            and before is not None
            and now.programs == before.programs
            and ((now.canonical, now.echo) == (before.canonical, before.echo))
        )

    def _unread(self) -> int:
        return tty.unread(self._sight.facts.tty)

    async def _send_as_file(self) -> None:
        path, size = await self._typist.keep_text(self._message)
        self._text = tagged(self._message.sender, self._message.sent, announcement(path, size, ""))
        self._note(f"it is too long to be typed there, and was sent as the file {path}")

    def _note(self, text: str) -> None:
        self._receipt = msgspec.structs.replace(self._receipt, note=text)

    async def _lose(self, detail: str) -> Receipt:
        seen = await self._last_screen()
        self._receipt = msgspec.structs.replace(
            self._receipt, readiness=self._sight.readiness, detail=f"{detail}.", screen=seen
        )
        return await self._step(Event.LOSE)

    async def _last_screen(self) -> tuple[str, ...]:
        try:
            return last_lines(await self._server.look(self._pane))
        except AgentmeshError:
            return ()

    async def _begin(self) -> None:
        """Journal that something is about to appear, in a pane of this readiness."""
        self._receipt = msgspec.structs.replace(self._receipt, readiness=self._sight.readiness)
        await self._step(Event.PASTE)

    async def _step(self, event: Event) -> Receipt:
        self._receipt = await self._journal(self._receipt, event)
        return self._receipt


def _ended_safely(text: str) -> str:
    """Return text that opens no completion: a last word with ``@`` or ``/`` is closed by a space.

    >>> _ended_safely("see @src"), _ended_safely("done")
    ('see @src ', 'done')
    """
    last = text.rsplit(maxsplit=1)[-1]
    return f"{text} " if "@" in last or "/" in last else text
