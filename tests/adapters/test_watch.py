"""Watched files: a touch is seen, and a storm of touches is few events."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentmesh.adapters.watch import changes, edits
from tests.eventually import eventually, eventually_async


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    (tmp_path / "sockets").mkdir()
    return tmp_path / "spool" / "tmux"


@asynccontextmanager
async def watched(file: Path) -> AsyncIterator[list[None]]:
    """Yield the list of events, once the watcher is known to see what happens."""
    events: list[None] = []

    async def watch() -> None:
        async for event in changes(file, file.parent.parent / "sockets"):
            events.append(event)  # noqa: PERF401 (each is looked at when it comes)

    watching = asyncio.ensure_future(watch())
    try:
        # The kernel may tell of the folders' own making yet: what counts is what comes after a touch was seen.
        await eventually_async(lambda: touch(file) and events, "the watcher has begun")
        await quiet(events)
        events.clear()
        yield events
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def touch(file: Path) -> bool:
    file.touch()
    return True


async def quiet(events: list[None]) -> None:
    """Wait until no more events come."""
    before = -1
    while len(events) != before:
        before = len(events)
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", ["spool/tmux", "sockets/default"])
async def test_a_touch_is_seen(file: Path, name: str) -> None:
    async with watched(file) as events:
        touch(file.parent.parent / name)
        await eventually_async(lambda: events, "the touch is seen", seconds=2)


async def test_a_socket_that_goes_is_seen(file: Path) -> None:
    other = file.parent.parent / "sockets" / "other"
    other.touch()
    async with watched(file) as events:
        other.unlink()
        await eventually_async(lambda: events, "the removal is seen", seconds=2)


async def test_a_storm_of_touches_is_few_events(file: Path) -> None:
    async with watched(file) as events:
        for _ in range(1000):
            touch(file)
        await eventually_async(lambda: events, "the storm is seen", seconds=2)
        await quiet(events)
        assert len(events) <= 20


async def test_a_neighbour_of_the_file_is_no_event(file: Path) -> None:
    async with watched(file) as events:
        touch(file.with_name("panes"))
        await quiet(events)
        assert not events
        touch(file)
        await eventually_async(lambda: events, "the file itself is seen", seconds=2)


NO_WATCHES = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$0" "$@"'
SAY_CHANGES = """
import asyncio, pathlib, sys
from agentmesh.adapters.watch import changes

async def say():
    async for _ in changes(*map(pathlib.Path, sys.argv[1:])):
        print("changed", flush=True)

asyncio.run(say())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is the Linux kernel's")
def test_a_change_is_seen_where_the_kernel_gives_no_more_watches(file: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    watch = [sys.executable, "-c", SAY_CHANGES, str(file), str(tmp_path / "sockets")]
    with said.open("wb") as output:
        # A user namespace has a limit of its own.
        program = ["unshare", "--user", "--map-root-user", "sh", "-c", NO_WATCHES, *watch]
        watching = subprocess.Popen(program, stdout=output, stderr=output)
    try:
        eventually(lambda: touch(file) and "changed" in said.read_text(), "the touch is seen", said.read_text)
        assert watching.poll() is None
    finally:
        watching.terminate()
        watching.wait(30)


@asynccontextmanager
async def watched_edits(*files: Path) -> AsyncIterator[set[Path]]:
    """Yield the set of files that were seen to change."""
    seen: set[Path] = set()

    async def watch() -> None:
        async for changed in edits(files):
            seen.update(changed)

    watching = asyncio.ensure_future(watch())
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def eventually_seen(file: Path, seen: set[Path], write: Callable[[], object]) -> None:
    """Write again and again until it is seen: the watcher may not have begun."""

    def is_seen() -> bool:
        write()
        return file in seen

    await eventually_async(is_seen, f"{file} is seen to change")


@pytest.mark.parametrize("way", ["in place", "replaced", "through a link"])
async def test_an_edit_is_seen_whatever_way_the_file_is_written(tmp_path: Path, way: str) -> None:
    file, other, target = tmp_path / "peers.conf", tmp_path / "other", tmp_path / "elsewhere" / "peers.conf"
    target.parent.mkdir()
    if way == "through a link":
        file.symlink_to(target)
    else:
        file.write_text("before")

    def write() -> None:
        other.write_text("nobody watches this")
        written = target if way == "through a link" else file
        if way == "replaced":
            (tmp_path / "new").write_text("after")
            (tmp_path / "new").rename(written)
        else:
            written.write_text("after")

    async with watched_edits(file, tmp_path / "unchanged") as seen:
        await eventually_seen(file, seen, write)
        assert seen == {file}


async def test_a_file_is_seen_whose_folder_was_made_later(tmp_path: Path) -> None:
    file = tmp_path / "home" / ".ssh" / "authorized_keys"

    def write() -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a key")

    async with watched_edits(file) as seen:
        await eventually_seen(file, seen, write)
        seen.clear()
        await eventually_seen(file, seen, lambda: file.write_text("another"))
