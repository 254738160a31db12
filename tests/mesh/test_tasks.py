"""Tasks end with their owner, also those that are started while the others end."""

import asyncio
from contextlib import suppress

from agentmesh.agent.tasks import Tasks


async def test_a_task_that_another_starts_as_it_ends_does_not_outlive_their_owner() -> None:
    seen: list[str] = []

    async def start_another() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks.start("late", outlast())

    async def outlast() -> None:
        seen.append("began")
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        async with Tasks() as tasks:
            tasks.start("early", start_another())
            await asyncio.sleep(0)
    assert seen == []


async def test_a_task_that_has_lost_its_cancellation_is_cancelled_again() -> None:
    async def lose_it_once() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        async with Tasks() as tasks:
            lost = tasks.start("loses it", lose_it_once())
            await asyncio.sleep(0)
    assert lost.cancelled()
