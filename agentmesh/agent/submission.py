"""Submit a text in its place: paste it, see it whole, let it settle, press Enter, see it taken. Or take it back.

No Enter unless our own text, whole, has been seen waiting alone; no success unless it was seen to go.
"""

import math
import time
from itertools import pairwise

import msgspec

from agentmesh.adapters import tty
from agentmesh.agent.attempt import Attempt
from agentmesh.agent.log import log
from agentmesh.core.delivery import Event, State
from agentmesh.core.model import Receipt
from agentmesh.core.place import InputBox, Line, Place, Waiting, backspaces, is_behind_cursor, landmark
from agentmesh.core.readiness import PERSON_SECONDS, Readiness
from agentmesh.core.screen import PaneFacts
from agentmesh.core.text import squash

SEE_SECONDS = 3.0
"""How long pasted text may take to appear, and a pane to hold still for a key."""
TAKE_SECONDS = 10.0
"""How long a program may take to accept a text after Enter. On a loaded machine some were seen to stall for seconds."""
AGAIN_SECONDS = 1.0
"""How long after Enter it is pressed again, while the text still waits; then twice as long."""
UNREAD_SECONDS = 1.5
"""How long after Enter a line that a program has not read counts as submitted."""
ASIDE_SECONDS = 1.0
"""How long a program may take to put a draft aside."""
MOST_PASTES = 3
MOST_ENTERS = 3
_NOT_PRESSED = "Enter was not pressed"


class Submission:
    """One text in one place, to be submitted once."""

    def __init__(self, attempt: Attempt, place: Place, settle: float = 0.0, enters: int = 1) -> None:
        """Submit in a place that must hold the text unchanged for ``settle`` seconds before Enter."""
        self._attempt = attempt
        self._place = place
        self._settle = settle
        self._enters = enters
        self._server = attempt.server
        self._pane = attempt.pane.pane
        self._pasted = self._drawn = self._pressed = time.monotonic()

    async def submit(self) -> Receipt:
        """Paste the text and submit it; returns the receipt of its end, or still stored when it was taken back."""
        attempt = self._attempt
        await attempt.begin()
        await self._put_draft_aside()
        for _ in range(MOST_PASTES):
            facts = attempt.sight.facts
            name = attempt.message.id
            self._pasted = time.monotonic()
            now = await self._server.paste(self._pane, self._place.text, name, facts, attempt.history)
            if now is not None:
                return await self.finish(now)
            before = attempt.sight.readiness
            attempt.sight = await attempt.eyes.look(
                self._server, attempt.pane, history=attempt.history, unattended=attempt.message.force
            )
            if attempt.sight.readiness is not before or not self._is_as_before():
                break
        await attempt.step(Event.RETURN)
        return await attempt.hold("The pane changed at the last moment; nothing was typed.")

    async def finish(self, first: PaneFacts) -> Receipt:
        """Submit the text that has been pasted, when it is seen to wait alone."""
        attempt = self._attempt
        seen = await self._settled(first)
        if seen is None or not self._may_press(seen):
            return await self._give_up()
        if attempt.receipt.state is State.PASTING:
            await attempt.step(Event.SEE)
        self._pressed = time.monotonic()
        for count in range(1, self._enters + 1):
            pressed = await self._press_enter(seen, through_buffer=count > 1 and count == self._enters)
            if pressed is None and count == 1:
                return await self._give_up()
            again = time.monotonic() + AGAIN_SECONDS * count if pressed and count < self._enters else math.inf
            now = pressed or await attempt.look()
            async for seen in attempt.watch(now, TAKE_SECONDS):
                if await self._is_taken(seen):
                    return await self._taken()
                if self._stays_unread(seen):
                    attempt.note("submitted, not read yet")
                    return await self._taken()
                if time.monotonic() > again and self._may_have_missed(seen):
                    break
            else:
                break
        return await attempt.lose("Enter was pressed, but its program was not seen to take the text")

    async def _taken(self) -> Receipt:
        moments = (self._pasted, self._drawn, self._pressed, time.monotonic())
        drawn, settled, taken = (f"{1000 * (after - before):.0f}" for before, after in pairwise(moments))
        log.info("text taken", message=self._attempt.message.id, drawn_ms=drawn, settled_ms=settled, taken_ms=taken)
        return await self._attempt.step(Event.TAKE)

    def _stays_unread(self, seen: PaneFacts) -> bool:
        """Tell whether a line has been submitted to a program that doesn't read for a while."""
        is_long = time.monotonic() - self._pressed > UNREAD_SECONDS
        return is_long and isinstance(self._place, Line) and self._place.waiting(seen) is Waiting.GONE

    def _may_have_missed(self, seen: PaneFacts) -> bool:
        """Tell whether the program has read the Enter, and our text waits there alone as before."""
        return self._place.waiting(seen) is Waiting.ALONE and not self._unread()

    async def _is_taken(self, seen: PaneFacts) -> bool:
        """Tell whether the place let go of the text, and the kernel of what was typed."""
        if self._place.waiting(seen) is not Waiting.GONE or self._unread():
            return False
        # Between two writes a program may have drawn half of its box.
        return isinstance(self._place, Line) or self._place.waiting(await self._attempt.look()) is Waiting.GONE

    async def _settled(self, first: PaneFacts) -> PaneFacts | None:
        """Wait until the text has stood alone for the settle time; None when that doesn't come."""
        since = None
        async for seen in self._attempt.watch(first, SEE_SECONDS + self._settle):
            waiting = self._place.waiting(seen)
            if waiting is Waiting.AMONG or seen.dead:
                return None
            now = time.monotonic()
            if waiting is Waiting.ALONE and since is None:
                since = self._drawn = now
            elif waiting is not Waiting.ALONE:
                since = None
            if since is not None and now - since >= self._settle:
                return seen
        return None

    def _may_press(self, seen: PaneFacts) -> bool:
        """Tell whether Enter is right: nobody is at the keyboard, and the same program reads in the same way."""
        return not self._has_person(seen) and self._is_same_terminal(seen)

    def _has_person(self, seen: PaneFacts) -> bool:
        if self._attempt.message.force:
            return False
        return bool(seen.typed) and seen.time - seen.typed < PERSON_SECONDS

    def _is_same_terminal(self, seen: PaneFacts) -> bool:
        before, now = self._attempt.sight, self._attempt.eyes.judge(seen, self._attempt.pane)
        if before.tty is None or now.tty is None:
            return False
        if isinstance(self._place, InputBox):
            return now.profile is before.profile and not now.tty.canonical
        modes = (before.tty.canonical, before.tty.echo), (now.tty.canonical, now.tty.echo)
        return now.tty.programs == before.tty.programs and modes[0] == modes[1]

    def _is_as_before(self) -> bool:
        """Tell whether the place holds what it held when it was chosen."""
        return self._place.content(self._attempt.sight.facts) == (
            self._place.draft if isinstance(self._place, InputBox) else ""
        )

    async def _press_enter(self, seen: PaneFacts, *, through_buffer: bool) -> PaneFacts | None:
        """Press Enter as soon as tmux finds the pane just as it was seen; None when the text doesn't wait alone."""
        until = time.monotonic() + SEE_SECONDS
        while True:
            mark = landmark(seen, self._place.shown(seen))
            if through_buffer:
                now = await self._server.give_return(self._pane, self._attempt.message.id, seen, mark)
            else:
                now = await self._server.press_enter(self._pane, seen, mark, self._attempt.history)
            if now is not None or time.monotonic() > until:
                return now
            settled = await self._settled(await self._attempt.look())
            if settled is None or not self._may_press(settled):
                return None
            seen = settled

    async def _put_draft_aside(self) -> None:
        """Ask the program to keep a draft for later, where it can; else say that the draft is joined."""
        place, attempt = self._place, self._attempt
        if isinstance(place, Line):
            if attempt.sight.readiness is Readiness.DRAFT:
                attempt.note("it was joined to what stood there half-typed")
            return
        if not place.draft:
            return
        facts = attempt.sight.facts
        if place.box.put_aside and (
            now := await self._server.press(
                self._pane, place.box.put_aside, facts, landmark(facts, place.shown(facts)), attempt.history
            )
        ):
            async for seen in attempt.watch(now, ASIDE_SECONDS):
                if place.content(seen) == "":
                    attempt.sight = msgspec.structs.replace(attempt.sight, facts=seen)
                    self._place = msgspec.structs.replace(place, draft="")
                    attempt.note("the draft that stood there was put aside")
                    return
            attempt.sight = msgspec.structs.replace(attempt.sight, facts=seen)
        attempt.note("it was joined to the draft that stood there")

    async def _give_up(self) -> Receipt:
        """End without Enter: take the text back if that can be done exactly; else the end is uncertain."""
        attempt = self._attempt
        seen = await attempt.look()
        waiting = self._place.waiting(seen)
        if waiting not in {Waiting.ALONE, Waiting.AMONG}:
            return await attempt.lose(f"It was pasted, but not seen whole in the pane; {_NOT_PRESSED}")
        if not self._is_same_terminal(seen):
            return await attempt.lose(f"The text is in the pane, but its program has changed; {_NOT_PRESSED}")
        readiness = Readiness.DRAFT if waiting is Waiting.AMONG else Readiness.TYPING
        if not await self._take_back(seen):
            what = "stands in the pane among other text" if waiting is Waiting.AMONG else "still stands in the pane"
            return await attempt.lose(f"The text {what}, and was not taken back; {_NOT_PRESSED}")
        await attempt.step(Event.RETURN)
        attempt.sight = msgspec.structs.replace(attempt.sight, facts=await attempt.look(), readiness=readiness)
        return await attempt.hold()

    async def _take_back(self, seen: PaneFacts) -> bool:
        """Remove exactly our text, where it is the end of what stands there; tell whether all else is left."""
        count = backspaces(self._place.text)
        if count is None or squash(self._place.text) not in squash(self._place.shown(seen)):
            return False
        until = time.monotonic() + SEE_SECONDS
        while time.monotonic() < until:
            rest = self._place.rest(seen)
            if rest is None or rest.after or (rest.before and not is_behind_cursor(seen, self._place.text)):
                return False
            mark = landmark(seen, self._place.shown(seen))
            now = None
            if not self._unread():
                keys = f"-N {count} BSpace"
                now = await self._server.press(self._pane, keys, seen, mark, self._attempt.history)
            if now is not None:
                async for left in self._attempt.watch(now, SEE_SECONDS):
                    if self._place.content(left) == rest.before and not self._unread():
                        return True
                return False
            seen = await self._attempt.look()
        return False

    def _unread(self) -> int:
        return tty.unread(self._attempt.sight.facts.tty)
