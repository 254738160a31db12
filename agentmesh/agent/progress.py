"""How far a command's long work is, shown on its terminal: one line, drawn late, erased at the end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from agentmesh.adapters.ipc import Request
from agentmesh.agent.answer import Answer
from agentmesh.core.progress import bar
from agentmesh.core.text import printable

FIRST_SECONDS = 1.0
"""Work that is done sooner shows nothing."""
_PAUSE_SECONDS = 0.2


class Step:
    """A part of the work whose size is known."""

    def __init__(self, label: str, total: int) -> None:
        self.label = printable(label)
        self.total = total
        self.done = 0
        self.began = time.monotonic()

    def advance(self, more: int) -> None:
        """Hear that so many bytes more are done; from any thread."""
        self.done += more


class Progress:
    """The steps that are under way, and the line on the terminal that shows them; without columns nothing is shown."""

    def __init__(self, answer: Answer | None = None, columns: int = 0) -> None:
        self._answer = answer
        self._columns = columns
        self._steps: list[Step] = []
        self._width = 0

    @asynccontextmanager
    async def step(self, label: str, total: int) -> AsyncIterator[Step]:
        """Count a step while the block runs. When no step is under way, nothing is shown."""
        step = Step(label, total)
        self._steps.append(step)
        try:
            yield step
        finally:
            self._steps.remove(step)
            await self._draw()

    async def keep_drawing(self) -> None:
        """Draw the line anew until cancelled or the command is gone."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            if self._steps and time.monotonic() - self._steps[0].began > FIRST_SECONDS:
                await self._draw(self._line())

    async def _draw(self, line: str = "") -> None:
        """Put a line in place of the last one."""
        if self._answer and self._columns and (line or self._width):
            with suppress(ConnectionError):  # the command is gone; what it began goes on
                await self._answer.write_error(f"\r{line:{self._width}}" + ("" if line else "\r"))
            self._width = len(line)

    def _line(self) -> str:
        """Return the line for the step that began first."""
        step, *others = self._steps
        label = f"{step.label} and {len(others)} more" if others else step.label
        return bar(label, step.done, step.total, time.monotonic() - step.began, self._columns)


@asynccontextmanager
async def shown_progress(request: Request, answer: Answer, *, quiet: bool) -> AsyncIterator[Progress]:
    """Show the work of a block, if the command's standard error is a terminal."""
    columns = request.environment.get("COLUMNS", "")
    progress = Progress(answer, int(columns) if columns.isdecimal() and not quiet else 0)
    drawing = asyncio.ensure_future(progress.keep_drawing())
    try:
        yield progress
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
