"""Tasks end with their owner, also those that are started while the others end."""

import asyncio
from contextlib import suppress

import pytest

from agentmesh.agent.tasks import Tasks, first_of


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


async def test_what_was_to_be_called_later_is_not_called_when_the_owner_has_ended() -> None:
    called: list[str] = []
    in_time, at_the_end = asyncio.Event(), asyncio.Event()
    async with Tasks() as tasks:
        tasks.call_later(0, in_time.set)
        await asyncio.wait_for(in_time.wait(), 10)
        tasks.call_later(0.01, lambda: called.append("too late"))
    asyncio.get_running_loop().call_later(0.02, at_the_end.set)
    await asyncio.wait_for(at_the_end.wait(), 10)
    assert called == []


async def test_of_several_the_first_that_ends_ends_the_others() -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")

    async def failing() -> None:
        raise LookupError

    async def quick() -> str:
        return "quick"

    async with asyncio.timeout(10):
        assert await first_of(endless(), quick()) == "quick"
        with pytest.raises(LookupError):
            await first_of(endless(), failing())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await first_of(endless())
    assert len(ended) == 3
