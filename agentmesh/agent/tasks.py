"""Tasks that live as long as their owner: started by name, ended together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from agentmesh.agent.log import log

T = TypeVar("T")

CANCEL_AGAIN_SECONDS = 5.0
"""After how long a task is cancelled again: in Python 3.11 asyncio.wait_for may lose a cancellation for a result."""


class Tasks:
    """A task group that cancels what still runs when its block ends. A task that fails ends the block."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[Any]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._is_over = False

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        for timer in self._timers:
            timer.cancel()
        try:
            while running := tuple(self._running):
                for task in running:
                    task.cancel()
                await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)
        finally:
            try:
                await self._group.__aexit__(kind, error, trace)
            except BaseExceptionGroup as failed:
                if failed.exceptions != (error,):  # else the block's own failure goes on, as it is
                    raise

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task; when the block has ended, and others only finish, it is cancelled at once."""
        task = self._group.create_task(work, name=name)
        if self._is_over:
            task.cancel()
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def start_supervised(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task whose failure is logged, and ends nothing else."""

        async def supervise() -> None:
            with supervised("task failed", task=name):
                await work

        task = self.start(name, supervise())
        task.add_done_callback(lambda _: work.close())  # of a task that is cancelled before it has begun nobody would
        return task

    def call_later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call something after a while, unless the block has ended by then."""

        def end() -> None:
            self._timers.discard(timer)
            if not self._is_over:
                call()

        timer = asyncio.get_running_loop().call_later(seconds, end)
        self._timers.add(timer)


@contextmanager
def supervised(what: str, **facts: object) -> Iterator[None]:
    """Log an exception that nothing expected, with its traceback, instead of letting it end the agent."""
    try:
        yield
    except Exception:  # noqa: BLE001 (the one place where a fault of ours is survived)
        log.exception(what, **facts)


async def first_of(*works: Awaitable[T]) -> T:
    """Return what the first of these returns, or raise what it raises; the others are cancelled."""
    running = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        first = next(work for work in running if work.done())
    finally:
        for work in running:
            work.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return first.result()
