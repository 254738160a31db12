"""Probes: how long a peer takes to answer over the live link."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

from agentmesh.core.wire import Frame, Probe, ProbeAnswer
from agentmesh.errors import Unreachable

PROBE_SECONDS = 5.0
"""How long an answer may take."""

Send = Callable[[str, Frame], Awaitable[None]]
"""Sends a frame to a host over a link that lives. Raises Unreachable."""


class Probes:
    """Asks peers, and remembers what each has answered last."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self.last: dict[str, float] = {}
        """Seconds, by host."""

    async def probe(self, host: str) -> float:
        """Ask a host that there is a link to; returns the seconds of the round trip. Raises Unreachable."""
        probe = Probe(uuid.uuid4().hex)
        answer = self._waiting[probe.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                started = time.monotonic()
                await self._send(host, probe)
                await answer
        except TimeoutError as error:
            raise Unreachable(host=host, reason=f"it has not answered within {PROBE_SECONDS:g} s") from error
        finally:
            del self._waiting[probe.id]
        self.last[host] = time.monotonic() - started
        return self.last[host]

    def note(self, answer: ProbeAnswer) -> None:
        """Take an answer that has come."""
        waiting = self._waiting.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
