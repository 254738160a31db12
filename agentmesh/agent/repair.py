"""Go on with a message whose delivery was cut off by a crash, by looking at what became of it.

What might have been taken is never pasted a second time.
"""

from agentmesh.agent.attempt import Attempt
from agentmesh.agent.display import is_shown
from agentmesh.agent.submission import Submission
from agentmesh.core.delivery import Event, State
from agentmesh.core.model import Receipt
from agentmesh.core.place import InputBox, Place, Waiting, occurrences
from agentmesh.core.readiness import Action, Readiness, action_for

LOOK_BACK_ROWS = 3000
_CUT_OFF = "The agent stopped while it typed this message"


async def repair(attempt: Attempt, before: Readiness, place: Place | None, submission: Submission | None) -> Receipt:
    """Return the receipt of a message's end, or as stored when surely nothing of it is in the pane.

    ``before`` is what the pane was when the text was about to appear, ``place`` where that was.
    """
    if attempt.sight.readiness in {Readiness.DEAD, Readiness.REPLACED}:
        return await attempt.lose(f"{_CUT_OFF}, and its pane has another process now")
    if action_for(before, force=attempt.message.force) is Action.DISPLAY:
        return await attempt.step(Event.SHOW if is_shown(attempt, attempt.sight.facts) else Event.RETURN)
    if place is None or submission is None:
        return await attempt.lose(f"{_CUT_OFF}; what became of it can't be seen")
    if place.waiting(attempt.sight.facts) is Waiting.ALONE:
        return await submission.finish(attempt.sight.facts)
    return await _find(attempt, place, before)


async def _find(attempt: Attempt, place: Place, before: Readiness) -> Receipt:
    """Look for a text that doesn't wait alone in its place."""
    facts, terminal = attempt.sight.facts, attempt.sight.tty
    unread = terminal.unread if terminal else 0
    content, times = place.content(facts), occurrences(facts, attempt.text)
    is_begun = attempt.receipt.state is State.PASTING
    if times == 1 and place.rest(facts) is None and content is not None and _was_submitted(attempt, place):
        if is_begun:
            await attempt.step(Event.SEE)
        if unread:
            attempt.note("submitted, not read yet")
        return await attempt.step(Event.TAKE)
    if (
        is_begun
        and times == 0
        and not unread
        and attempt.sight.readiness is before
        and content == ""
        and facts.typed < attempt.receipt.time
    ):
        return await attempt.step(Event.RETURN)
    return await attempt.lose(f"{_CUT_OFF}; what the pane shows doesn't tell whether it was taken")


def _was_submitted(attempt: Attempt, place: Place) -> bool:
    """Tell whether a text that stands once on the screen, but not in its place, got there by Enter.

    Before it was seen whole, we pressed none; a line may also be pushed away by output.
    """
    return isinstance(place, InputBox) or attempt.receipt.state is State.PASTED
