"""Wait for a condition with a deadline, and say what was last seen when it is not met."""

import asyncio
import time
from collections.abc import Callable

PATIENCE = 30.0
"""Seconds: far more than anything here takes, so that only a wrong answer reaches it."""
_PAUSE, _LONGEST_PAUSE = 0.01, 0.03


def eventually(
    holds: Callable[[], object], hope: str, show: Callable[[], object] | None = None, seconds: float = PATIENCE
) -> None:
    """Return as soon as the condition holds; fail with the hope and what ``show`` (or the condition) said last."""
    deadline = time.monotonic() + seconds
    while not (seen := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(hope, seconds, show() if show else seen))
        time.sleep(_pause(deadline - seconds))


async def eventually_async(
    holds: Callable[[], object], hope: str, show: Callable[[], object] | None = None, seconds: float = PATIENCE
) -> None:
    """Do the same while the event loop runs on."""
    deadline = time.monotonic() + seconds
    while not (seen := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(hope, seconds, show() if show else seen))
        await asyncio.sleep(_pause(deadline - seconds))


def _pause(began: float) -> float:
    """Return how long to wait until it is looked again: a tenth of what has passed, since a look may cost much."""
    return max(_PAUSE, min((time.monotonic() - began) / 10, _LONGEST_PAUSE))


def _complaint(hope: str, seconds: float, seen: object) -> str:
    return f"Waited {seconds:g} s in vain until: {hope}. Last seen:\n{seen}"
