"""Show a message to a person at a shell prompt, as write(1) does: above the prompt, which stays as it is."""

from agentmesh.adapters import tty
from agentmesh.agent.attempt import Attempt
from agentmesh.core.delivery import Event
from agentmesh.core.model import Receipt
from agentmesh.core.prompt import shown_above_prompt
from agentmesh.core.screen import PaneFacts, plain
from agentmesh.core.text import squash
from agentmesh.errors import TmuxFailed

SHOW_SECONDS = 3.0
"""How long a text may take to appear."""
LONGEST_DISPLAY = 2000
"""Bytes that are put on a person's screen; more is a file."""


async def display(attempt: Attempt) -> Receipt:
    """Write the message to the pane's terminal, and see it there."""
    facts = attempt.sight.facts
    if len(attempt.text.encode()) > LONGEST_DISPLAY:
        await attempt.send_as_file()
    attempt.history = sum(len(line) // facts.width + 1 for line in attempt.text.split("\n")) + facts.height
    await attempt.begin()
    try:
        tty.write(facts.tty, shown_above_prompt(facts, attempt.text))
    except TmuxFailed as error:
        return await attempt.turn_away(Event.FAIL, str(error))
    async for seen in attempt.watch(await attempt.look(), SHOW_SECONDS):
        if is_shown(attempt, seen):
            return await attempt.step(Event.SHOW)
    return await attempt.lose("It was written to the terminal, but didn't appear")


def is_shown(attempt: Attempt, seen: PaneFacts) -> bool:
    """Tell whether the message stands on the screen or in the history that was asked for."""
    return squash(attempt.text) in squash("".join(plain(row) for row in seen.rows))
