"""Drops between two inboxes over a socket pair, and by the commands of one host."""

import asyncio
import hashlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agentmesh.adapters.outgoing import Outgoing, open_outgoing
from agentmesh.agent.dropping import BEGINNINGS, Dropping
from agentmesh.agent.drops import Drops
from agentmesh.agent.progress import Progress
from agentmesh.agent.stream import FrameStream
from agentmesh.config import Drops as DropsConfig
from agentmesh.core.wire import Chunk, Dropped, Offer, Ready, Refusal
from agentmesh.errors import DropFailed, Unreachable
from tests.eventually import eventually, eventually_async
from tests.mesh.local import LocalHost

DATA = os.urandom(4_000_000)


@pytest.fixture
def inbox(tmp_path: Path) -> Drops:
    return Drops(DropsConfig(folder=str(tmp_path / "inbox"), largest=10_000_000), tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Outgoing:
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    file = open_outgoing(path)
    file.measure(lambda _: None)
    return file


@asynccontextmanager
async def conversation() -> AsyncIterator[tuple[FrameStream, FrameStream]]:
    one, other = socket.socketpair()
    near = FrameStream(*await asyncio.open_connection(sock=one))
    far = FrameStream(*await asyncio.open_connection(sock=other))
    try:
        yield near, far
    finally:
        near.close()
        far.close()


async def send(inbox: Drops, file: Outgoing, advance: list[int] | None = None) -> str:
    async with conversation() as (near, far), asyncio.TaskGroup() as tasks:
        tasks.create_task(inbox.take(far))
        return await inbox.send(near, file, "me", "there", (advance if advance is not None else []).append)


class BreakingLinks:
    """Conversations with a host that end before anything is said in them, so many times."""

    def __init__(self, inbox: Drops, breaks: int, *, is_away: bool = False) -> None:
        self._inbox = inbox
        self._breaks = breaks
        self._is_away = is_away
        self.tries = 0

    async def reach(self, host: str) -> None:
        """Have a link, or not."""
        if self._is_away:
            self.tries += 1
            raise Unreachable(host=host, reason="it is off")

    @asynccontextmanager
    async def drop_conversation(self, host: str) -> AsyncIterator[FrameStream]:
        """Begin a conversation, which may break."""
        self.tries += 1
        async with conversation() as (near, far):
            if self.tries <= self._breaks:
                raise Unreachable(host=host, reason="the link broke during the transfer")
            taking = asyncio.ensure_future(self._inbox.take(far))
            yield near
            await taking


@pytest.mark.parametrize(
    ("breaks", "is_away", "tries"), [(BEGINNINGS, False, BEGINNINGS + 1), (99, False, BEGINNINGS + 1), (0, True, 1)]
)
async def test_a_drop_that_breaks_at_its_beginning_is_begun_again_unless_the_host_is_away(
    inbox: Drops, file: Outgoing, tmp_path: Path, breaks: int, *, is_away: bool, tries: int
) -> None:
    links = BreakingLinks(inbox, breaks, is_away=is_away)
    dropping = Dropping("here", inbox, links, tmp_path / "spool", 10_000_000)
    with suppress(Unreachable):
        await dropping.carry(file, "me", "there", Progress())
    assert links.tries == tries
    assert landed(tmp_path) == ({"data.bin": DATA} if breaks == BEGINNINGS else {})


def landed(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tmp_path / "inbox").rglob("*") if path.is_file()}


async def leave_a_part(inbox: Drops, file: Outgoing, part: bytes, tmp_path: Path) -> None:
    """Send some bytes of a file, and then no more."""
    async with conversation() as (near, far), asyncio.TaskGroup() as tasks:
        taking = tasks.create_task(inbox.take(far))
        await near.send(Offer(sender="me", name=file.name, size=file.size, sha256=file.sha256))
        assert await near.read() == Ready(0)
        await near.send(Chunk(part))
        near.close()
        await taking
    assert list(landed(tmp_path).values()) == [part]


async def test_a_drop_that_was_cut_goes_on_from_what_is_there(inbox: Drops, file: Outgoing, tmp_path: Path) -> None:
    await leave_a_part(inbox, file, DATA[:400_000], tmp_path)
    heard: list[int] = []
    path = await send(inbox, file, heard)
    assert heard[0] == 400_000
    assert sum(heard) == len(DATA)
    assert landed(tmp_path) == {"data.bin": DATA}
    assert path.endswith("inbox/me/data.bin")


async def test_a_part_that_proves_wrong_is_sent_again_from_its_first_byte(
    inbox: Drops, file: Outgoing, tmp_path: Path
) -> None:
    await leave_a_part(inbox, file, b"wrong", tmp_path)
    await send(inbox, file)
    assert landed(tmp_path) == {"data.bin": DATA}


async def test_a_receiver_that_never_has_enough_is_left(inbox: Drops, file: Outgoing) -> None:
    async with conversation() as (near, far), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_failure(inbox, near, file))
        assert isinstance(await far.read(), Offer)
        for _ in range(2):
            await far.send(Ready(file.size))
        await far.send(Ready(0))
        assert "an answer to an offer was expected" in await sending


async def _failure(inbox: Drops, stream: FrameStream, file: Outgoing) -> str:
    try:
        return await inbox.send(stream, file, "me", "there", lambda _: None)
    except Exception as error:  # noqa: BLE001 (which one is what is asked)
        return str(error)


async def test_content_that_changed_after_it_was_measured_is_refused(
    inbox: Drops, file: Outgoing, tmp_path: Path
) -> None:
    (tmp_path / "data.bin").write_bytes(DATA[::-1])
    with pytest.raises(ExceptionGroup) as raised:
        await send(inbox, file)
    assert raised.group_contains(DropFailed, match="did it change while it was read")
    assert landed(tmp_path) == {}


async def test_a_refusal_is_heard_while_nothing_more_is_taken(inbox: Drops, file: Outgoing) -> None:
    one, other = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=one)
    near, far = FrameStream(reader, writer), FrameStream(*await asyncio.open_connection(sock=other))
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_failure(inbox, near, file))
        assert isinstance(await far.read(), Offer)
        await far.send(Ready(0))
        full = writer.transport.get_write_buffer_limits()[1]
        await eventually_async(lambda: writer.transport.get_write_buffer_size() > full, "a chunk finds no way")
        await far.send(Refusal("its disk is full"))
        assert await sending == "data.bin could not be dropped on there: its disk is full."
    near.close()
    far.close()


async def test_a_file_that_is_there_already_is_not_sent_again(inbox: Drops, file: Outgoing, tmp_path: Path) -> None:
    first = await send(inbox, file)
    heard: list[int] = []
    assert await send(inbox, file, heard) == first
    assert heard == [len(DATA)]
    assert landed(tmp_path) == {"data.bin": DATA}


async def test_the_same_file_sent_twice_at_once_is_one_file(inbox: Drops, file: Outgoing, tmp_path: Path) -> None:
    assert len(set(await asyncio.gather(*(send(inbox, file) for _ in range(4))))) == 1
    assert landed(tmp_path) == {"data.bin": DATA}


async def test_a_link_that_ends_is_said_to(inbox: Drops, file: Outgoing) -> None:
    async with conversation() as (near, far):
        far.close()
        with pytest.raises((Unreachable, OSError)):
            await inbox.send(near, file, "me", "there", lambda _: None)


async def test_room_that_another_drop_needs_is_not_given_twice(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    greedy = Drops(DropsConfig(folder=str(tmp_path / "inbox"), largest=2**62), tmp_path)
    async with conversation() as (near, far), asyncio.TaskGroup() as tasks:
        tasks.create_task(greedy.take(far))
        size = free - 512 * 1024 * 1024
        await near.send(Offer(sender="me", name="huge", size=size, sha256="0" * 64))
        assert await near.read() == Ready(0)
        async with conversation() as (second, there):
            tasks.create_task(greedy.take(there))
            await second.send(Offer(sender="me", name="too", size=size, sha256="1" * 64))
            refused = await second.read()
        near.close()
    assert isinstance(refused, Refusal)
    assert "don't fit on its disk" in refused.reason


async def test_a_file_larger_than_the_host_takes_is_refused(inbox: Drops) -> None:
    async with conversation() as (near, far), asyncio.TaskGroup() as tasks:
        tasks.create_task(inbox.take(far))
        await near.send(Offer(sender="me", name="huge", size=10_000_001, sha256="0" * 64))
        refused = await near.read()
        near.close()
    assert refused == Refusal("it has 10,000,001 bytes; at most 10,000,000 are taken there")


async def test_the_name_from_elsewhere_stays_in_the_inbox(inbox: Drops, tmp_path: Path) -> None:
    async with conversation() as (near, far), asyncio.TaskGroup() as tasks:
        tasks.create_task(inbox.take(far))
        empty = hashlib.sha256().hexdigest()
        await near.send(Offer(sender="../..", name="../../.bashrc", size=0, sha256=empty))
        assert await near.read() == Ready(0)
        assert isinstance(await near.read(), Dropped)
    assert list(landed(tmp_path)) == ["bashrc"]


# By commands.


@pytest.mark.tmux
def test_panes_of_one_host_are_told_of_one_file(host: LocalHost) -> None:
    for window in ("one", "two"):
        host.open(window, "cat")
    (host.home / "both.txt").write_text("for both")
    sent = host.notify("one,two", "--file", "both.txt", "look")
    assert (sent.returncode, sent.stderr) == (0, "")
    notice = "file dropped at ~/.agent-inbox/solo/both.txt (8 bytes): look"
    assert sent.stdout.count(notice) == 2
    assert [path.name for path in (host.home / ".agent-inbox" / "solo").glob("both*")] == ["both.txt"]


@pytest.mark.tmux
def test_the_receipt_names_each_file_with_its_digest(host: LocalHost) -> None:
    (host.home / "tree").mkdir()
    (host.home / "tree" / "a").write_text("a")
    (host.home / "plain.txt").write_text("plain")
    receipt = json.loads(host.notify("first", "--file", "plain.txt", "--file", "tree", "--json").stdout)
    plain, tree = receipt["drops"]
    digest = hashlib.sha256(b"plain").hexdigest()
    assert plain == {"path": "~/.agent-inbox/solo/plain.txt", "size": 5, "sha256": digest}
    assert tree["folder"] is True
    packed = (host.home / ".agent-inbox" / "solo" / "tree.tar").read_bytes()
    assert tree["sha256"] == hashlib.sha256(packed).hexdigest()


@pytest.mark.tmux
def test_standard_input_is_dropped_under_its_name_with_and_without_an_agent(host: LocalHost, root: Path) -> None:
    data = os.urandom(2_500_000)
    words = ("notify-pane", "first", "--file", "-", "--name", "in.bin")
    assert host.run(*words, stdin=data).returncode == 0
    assert (host.home / ".agent-inbox" / "solo" / "in.bin").read_bytes() == data
    assert list((host.agents / "spool" / "input").iterdir()) == []
    lone = LocalHost("lone", root)
    try:
        assert lone.run(*words, stdin=data).returncode == 0
        assert (lone.home / ".agent-inbox" / "lone" / "in.bin").read_bytes() == data
    finally:
        lone.end()


@pytest.mark.tmux
def test_what_old_drops_have_left_is_gone_after_the_agent_starts(root: Path) -> None:
    host = LocalHost("tidy", root)
    inbox = host.home / ".agent-inbox" / "me"
    inbox.mkdir(parents=True)
    for name, age in {".old.part": 8, ".new.part": 6, "kept.txt": 8}.items():
        (inbox / name).write_text("x")
        moment = time.time() - age * 24 * 3600
        os.utime(inbox / name, (moment, moment))
    try:
        host.start()
        eventually(lambda: not (inbox / ".old.part").exists(), "the old part is gone")
    finally:
        host.end()
    assert sorted(path.name for path in inbox.iterdir()) == [".new.part", "kept.txt"]


@pytest.mark.tmux
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--file", "-"], "say --file - --name NAME"),
        (["--file", "-", "--name", "x", "-"], "can be read once"),
        (["--file", "-", "--file", "-", "--name", "x"], "can be read once"),
        (["--name", "x", "text"], "with --file -"),
        (["--file", "fifo"], "--file - --name NAME"),
        (["--file", "closed"], "Permission denied|No such file"),
    ],
)
def test_what_can_not_be_read_is_exit_code_1(host: LocalHost, words: list[str], complaint: str) -> None:
    if not (host.home / "fifo").exists():
        os.mkfifo(host.home / "fifo")
    refused = host.notify("first", *words)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert any(part in refused.stderr for part in complaint.split("|"))
