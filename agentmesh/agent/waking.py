"""Notice that this host has slept, or that its network is another than a moment ago."""

import asyncio
import time
from collections.abc import Callable

from agentmesh.adapters.network import network
from agentmesh.agent.log import log

LOOK_SECONDS = 0.5
SLEPT_SECONDS = 10.0
"""A pause in our own work that is so much longer than meant is a sleep, of the machine or of this process."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that goes on while the machine sleeps: on Linux the monotonic one doesn't (clock_gettime(2))."""


def clock() -> float:
    """Return seconds that have passed, asleep or awake."""
    return time.clock_gettime(_CLOCK)


async def keep_noticing(
    on_wake: Callable[[], None],
    clock: Callable[[], float] = clock,
    network: Callable[[], tuple[object, ...]] = network,
) -> None:
    """Call ``on_wake`` after each sleep and each change of the network."""
    before = network()
    while True:
        begun = clock()
        await asyncio.sleep(LOOK_SECONDS)
        slept, now = clock() - begun - LOOK_SECONDS > SLEPT_SECONDS, network()
        if slept or now != before:
            log.info("this host has slept" if slept else "the network has changed")
            on_wake()
        before = now
