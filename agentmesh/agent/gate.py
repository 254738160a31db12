"""How many connections this host makes at once: each costs both ends time, and too many together all run out of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

PLACES = 2
PLACE_SECONDS = 4.0
"""How long a place is held where no answer comes: hosts that are off must not keep the others waiting."""


class Gate:
    """Lets a few through at a time."""

    def __init__(self, places: int = PLACES, seconds: float = PLACE_SECONDS) -> None:
        self._places = asyncio.Semaphore(places)
        self._seconds = seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Callable[[], None]]:
        """Wait for a place, and hold it to the end of this block, or for as long as it may be held without an answer.

        Yields what is to be told of an answer.
        """
        await self._places.acquire()
        is_held = True

        def leave() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._places.release()

        timer = asyncio.get_running_loop().call_later(self._seconds, leave)
        try:
            yield timer.cancel
        finally:
            timer.cancel()
            leave()
