"""Tasks end with their owner, also those that are started while the others end."""

import asyncio

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
