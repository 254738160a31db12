"""Do with one message what its pane's readiness calls for. The caller holds the pane's lock.

The order of steps, and why each is there: look, decide, journal, paste, see the text, settle, Enter, see it taken.
"""

import asyncio
import uuid
from collections.abc import Mapping

import msgspec

from agentmesh.adapters.tmux import TmuxServer
from agentmesh.agent.attempt import Attempt, Journal
from agentmesh.agent.display import display
from agentmesh.agent.drops import Drops
from agentmesh.agent.repair import LOOK_BACK_ROWS, repair
from agentmesh.agent.sight import Eyes, Sight
from agentmesh.agent.submission import MOST_ENTERS, Submission
from agentmesh.core.box import fits
from agentmesh.core.delivery import Event, State, is_end, step
from agentmesh.core.model import Message, Pane, Profile, Receipt
from agentmesh.core.place import InputBox, Line, Place, ended_safely, ends_with_prompt
from agentmesh.core.readiness import Action, Readiness, action_for
from agentmesh.core.screen import full_rows_above, prompt_before_cursor
from agentmesh.core.text import squash
from agentmesh.errors import AgentmeshError, PaneGone, PaneReplaced, TmuxFailed

MOST_DISMISSALS = 2
"""How many panels may stand one over the other."""
AGREE_SECONDS = 0.3
"""How long a full-screen program is looked at until two looks agree."""
DISMISS_SECONDS = 1.0
"""How long a program may take to close a panel."""
LONGEST_LINE = 4000
"""Bytes of a line that the kernel collects: N_TTY's buffer has 4096 (termios(3), canonical mode)."""
UNKNOWN_SETTLE_SECONDS = 0.1
"""How long a text must stand in a full-screen program of which nothing is known, before Enter."""
_BOXES = {Readiness.EMPTY_BOX, Readiness.QUEUES, Readiness.BUSY}

Storing = asyncio.Future[Receipt]
"""A message's way to the disk: its receipt, as it stands there."""


class Typist:
    """Types on this host's panes."""

    def __init__(self, profiles: Mapping[str, Profile], drops: Drops) -> None:
        self._eyes = Eyes(profiles)
        self._drops = drops

    async def look(self, server: TmuxServer, pane: Pane) -> Sight:
        """Ask tmux and the kernel what a pane is. Raises PaneGone, TmuxFailed."""
        return await self._eyes.look(server, pane)

    async def deliver(
        self, message: Message, pane: Pane, server: TmuxServer, storing: Storing, journal: Journal
    ) -> Receipt:
        """Do with a message what its receipt and the pane's readiness call for; returns the receipt of its end.

        A message that may wait (``expires``) comes back still stored, with what was seen, when the pane isn't ready;
        when tmux can't be asked, PaneGone or TmuxFailed is raised for it, and it stays as it is on disk. Where the pane
        isn't the one that was registered, PaneReplaced is raised, and nothing was done.
        """
        # A look types nothing, so it needn't wait for the disk.
        receipt, seen = await asyncio.gather(storing, self._glance(server, pane, message))
        if is_end(receipt.state):
            return receipt
        receipt = msgspec.structs.replace(receipt, target=pane.target)
        if isinstance(seen, AgentmeshError):
            return await _break_off(message, receipt, seen, journal)
        attempt = Attempt(message, pane, server, receipt, journal, self._eyes, self._drops, seen)
        try:
            if receipt.state is not State.STORED:
                receipt = await self._repair(attempt)
                if receipt.state is not State.STORED:
                    return receipt
                again = await self._eyes.look(server, pane, unattended=message.force)
                attempt = Attempt(message, pane, server, receipt, journal, self._eyes, self._drops, again)
            return await self._act(attempt, await self._decide(attempt))
        except (PaneGone, TmuxFailed) as error:
            return await _break_off(message, attempt.receipt, error, journal)

    async def command(self, text: str, server: TmuxServer, pane: Pane) -> Receipt:
        """Submit a command of the program's own, without a sender's name, where its empty input box takes one.

        Nothing of it is journalled: who gives it looks at what comes of it. Raises PaneGone, TmuxFailed.
        """

        async def journal(receipt: Receipt, event: Event) -> Receipt:
            return msgspec.structs.replace(receipt, state=step(receipt.state, event))

        message = Message(id=uuid.uuid4().hex, sender="", to=pane.address, host=pane.host, body=text, sent=0)
        receipt = Receipt(id=message.id, to=pane.address, host=pane.host, state=State.STORED, target=pane.target)
        sight = await self._eyes.look(server, pane)
        attempt = Attempt(message, pane, server, receipt, journal, self._eyes, self._drops, sight)
        attempt.text = text
        if await self._decide(attempt) is not Action.FILL_BOX:
            return await attempt.hold()
        return await self._submit(attempt)

    async def _glance(self, server: TmuxServer, pane: Pane, message: Message) -> Sight | AgentmeshError:
        try:
            return await self._eyes.look(server, pane, unattended=message.force)
        except (PaneGone, TmuxFailed) as error:
            return error

    async def _decide(self, attempt: Attempt) -> Action:
        """Say what is to be done with a pane as it is seen. A full-screen program must look the same twice."""
        force = attempt.message.force
        action = action_for(attempt.sight.readiness, force=force)
        if action is Action.LEAVE_MODE:
            await attempt.server.leave_mode(attempt.pane.pane)
            action = await self._look_again(attempt)
        for _ in range(MOST_DISMISSALS):
            if action is Action.DISMISS and attempt.message.dismiss:
                action = await self._dismiss(attempt)
        has_box = attempt.sight.profile is not None and attempt.sight.profile.box is not None
        if action is Action.FILL_BOX or (has_box and attempt.sight.readiness is Readiness.UNKNOWN):
            return await self._look_twice(attempt)
        return action

    async def _look_twice(self, attempt: Attempt) -> Action:
        """Look until two looks agree; what isn't known may be a screen that is half drawn, and is looked at again."""
        before = None
        async for facts in attempt.watch(attempt.sight.facts, AGREE_SECONDS):
            told = msgspec.structs.replace(facts, typed=0) if attempt.message.force else facts
            attempt.sight = self._eyes.judge(told, attempt.pane)
            if attempt.sight.readiness is before and before is not Readiness.UNKNOWN:
                return action_for(before, force=attempt.message.force)
            before = attempt.sight.readiness
        is_known = before is not Readiness.UNKNOWN
        return Action.REFUSE if is_known else action_for(Readiness.UNKNOWN, force=attempt.message.force)

    async def _dismiss(self, attempt: Attempt) -> Action:
        """Close the panel in front with Escape, and wait until something known stands there."""
        pressed = await attempt.server.press(attempt.pane.pane, "Escape", attempt.sight.facts, None)
        if pressed is not None:
            async for seen in attempt.watch(pressed, DISMISS_SECONDS):
                readiness = self._eyes.judge(seen, attempt.pane).readiness
                if readiness not in {Readiness.PANEL, Readiness.UNKNOWN}:
                    break
        return await self._look_again(attempt)

    async def _look_again(self, attempt: Attempt) -> Action:
        attempt.sight = await self._eyes.look(attempt.server, attempt.pane, unattended=attempt.message.force)
        return action_for(attempt.sight.readiness, force=attempt.message.force)

    async def _act(self, attempt: Attempt, action: Action) -> Receipt:
        match action:
            case Action.FILL_BOX | Action.TYPE_LINE:
                return await self._submit(attempt)
            case Action.DISPLAY:
                return await display(attempt)
            case Action.DENY:
                return await attempt.turn_away(Event.DENY)
            case Action.FAIL if attempt.sight.readiness is Readiness.REPLACED:
                raise PaneReplaced(pane=attempt.pane.pane)
            case Action.FAIL:
                return await attempt.turn_away(Event.FAIL)
            case Action.REFUSE | Action.LEAVE_MODE | Action.DISMISS:
                return await attempt.hold()

    async def _submit(self, attempt: Attempt) -> Receipt:
        if attempt.sight.tty is None:
            return await attempt.hold()
        if not _fits(attempt):
            await attempt.send_as_file()
        if not _fits(attempt):
            return await attempt.hold("Not even the notice of a file can be typed there; see its profile.")
        place = _place(attempt)
        if isinstance(place, InputBox):
            content = place.content(attempt.sight.facts)
            if content is None:
                return await attempt.hold()
            place = msgspec.structs.replace(place, draft=content)
        return await _submission(attempt, place).submit()

    async def _repair(self, attempt: Attempt) -> Receipt:
        """Go on with a message that was begun; returns its receipt, still stored when nothing of it is in the pane."""
        attempt.sight = await self._eyes.look(attempt.server, attempt.pane, history=LOOK_BACK_ROWS)
        found = attempt.receipt.readiness
        before = Readiness(found) if found in set(Readiness) else Readiness.UNKNOWN
        if attempt.was_sent_as_file:
            await attempt.send_as_file()
        place = _former_place(attempt, before)
        return await repair(attempt, before, place, _submission(attempt, place) if place else None)


def _box_of(sight: Sight, readiness: Readiness) -> Profile | None:
    """Return the profile of the program in front, if it has an input box and that is where a text goes."""
    if readiness is Readiness.UNKNOWN or sight.tty is None or sight.tty.canonical:
        return None
    return sight.profile if sight.profile and sight.profile.box else None


def _fits(attempt: Attempt) -> bool:
    """Tell whether the text can be typed where it is going, as it is."""
    sight = attempt.sight
    if (profile := _box_of(sight, sight.readiness)) and profile.box:
        return fits(ended_safely(attempt.text), profile.box)
    waiting = sight.tty.unread if sight.tty else 0
    return "\n" not in attempt.text and len(attempt.text.encode()) + waiting <= LONGEST_LINE


def _place(attempt: Attempt) -> Place:
    """Return where the text goes."""
    sight = attempt.sight
    if (profile := _box_of(sight, sight.readiness)) and profile.box:
        return InputBox(ended_safely(attempt.text), profile, profile.box)
    attempt.history = len(attempt.text) // sight.facts.width + 2
    before = squash(prompt_before_cursor(sight.facts))
    return Line(attempt.text, before, "" if before else squash(full_rows_above(sight.facts)))


def _former_place(attempt: Attempt, before: Readiness) -> Place | None:
    """Return where the text was about to be typed, in a pane of this readiness; None when that isn't there now."""
    sight = attempt.sight
    if (profile := _box_of(sight, before)) and profile.box:
        return InputBox(ended_safely(attempt.text), profile, profile.box)
    if before in _BOXES:
        return None
    attempt.history = len(attempt.text) // sight.facts.width + 2
    line, _, _ = squash(prompt_before_cursor(sight.facts)).partition(squash(attempt.text))
    return Line(attempt.text, line if ends_with_prompt(line) else "")


def _submission(attempt: Attempt, place: Place) -> Submission:
    if isinstance(place, InputBox):
        return Submission(attempt, place, place.box.settle, MOST_ENTERS)
    unknown = attempt.sight.readiness is Readiness.UNKNOWN
    return Submission(attempt, place, UNKNOWN_SETTLE_SECONDS if unknown else 0.0)


async def _break_off(message: Message, receipt: Receipt, error: AgentmeshError, journal: Journal) -> Receipt:
    """End a message whose pane can't be asked: failed when nothing was typed yet, else uncertain."""
    if message.expires:
        raise error
    event = Event.FAIL if receipt.state is State.STORED else Event.LOSE
    return await journal(msgspec.structs.replace(receipt, detail=str(error)), event)
