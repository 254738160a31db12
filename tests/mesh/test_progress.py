"""How far a command's work is, on its terminal."""

from pathlib import Path

import pytest

from agentmesh.adapters.ipc import Request
from agentmesh.agent.progress import shown_progress
from tests.eventually import eventually_async


class Terminal:
    """An answer that keeps what is written to standard error."""

    def __init__(self) -> None:
        self.written: list[str] = []

    async def write_output(self, text: str) -> None:
        raise NotImplementedError

    async def write_error(self, text: str) -> None:
        self.written.append(text)

    async def read_input(self, largest: int) -> bytes:
        raise NotImplementedError

    async def gone(self) -> None:
        raise NotImplementedError


def request(**environment: str) -> Request:
    return Request(Path("/"), environment, [], 0)


async def test_long_work_shows_a_line_that_is_erased_when_it_is_done() -> None:
    terminal = Terminal()
    async with shown_progress(request(COLUMNS="80"), terminal, quiet=False) as progress:
        async with progress.step("evil\x1b[2J\nname", 1000) as step:
            step.advance(500)
            await eventually_async(lambda: terminal.written, "the line is drawn")
        (*_, drawn, erased) = terminal.written
        assert drawn.startswith("\revil[2J name [")
        assert " 50 % of 1000 bytes" in drawn
        assert erased == f"\r{'':{len(drawn) - 1}}\r"


@pytest.mark.parametrize(
    ("environment", "quiet"), [({}, False), ({"COLUMNS": "80"}, True), ({"COLUMNS": "wide"}, False)]
)
async def test_nothing_is_shown_where_nobody_looks(environment: dict[str, str], quiet: bool) -> None:  # noqa: FBT001
    silent, seen = Terminal(), Terminal()
    async with (
        shown_progress(request(**environment), silent, quiet=quiet) as progress,
        shown_progress(request(COLUMNS="80"), seen, quiet=False) as watched,
        progress.step("x", 1000),
        watched.step("x", 1000),
    ):
        await eventually_async(lambda: seen.written, "the other one is drawn")
    assert silent.written == []


async def test_quick_work_shows_nothing() -> None:
    terminal = Terminal()
    async with shown_progress(request(COLUMNS="80"), terminal, quiet=False) as progress, progress.step("x", 10) as step:
        step.advance(10)
    assert terminal.written == []
