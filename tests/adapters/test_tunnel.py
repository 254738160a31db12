"""A tunnel between two ends on this machine, whose bytes pass through the test's own hands."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncssh
import pytest

from agentmesh.adapters import tunnel
from agentmesh.adapters.keys import HostKey, make_key
from agentmesh.adapters.ssh import SUBSYSTEM
from agentmesh.adapters.tunnel import End

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Touch = Callable[[bytes], bytes]
"""What a relay makes of the bytes that it carries from the end that has begun."""
FILE = bytes(range(256)) * 20_000


class Relay:
    """What is between two ends: it keeps all that it carries, may change something, and ends then."""

    def __init__(self, touch: Touch = lambda data: data) -> None:
        self.touch = touch
        self.seen = bytearray()
        loop = asyncio.get_running_loop()
        self._west: asyncio.Future[Streams] = loop.create_future()
        self._east: asyncio.Future[Streams] = loop.create_future()
        self._over = asyncio.Event()

    async def carry_west(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry for the end that begins."""
        self._west.set_result((reader, writer))
        await self._pump(reader, (await self._east)[1], self._touched)

    def _touched(self, data: bytes) -> bytes:
        return self.touch(data)

    async def carry_east(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry for the end that answers."""
        self._east.set_result((reader, writer))
        await self._pump(reader, (await self._west)[1], lambda data: data)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, touch: Touch) -> None:
        while data := await reader.read(65536):
            self.seen += data
            touched = touch(data)
            writer.write(touched)
            await writer.drain()
            if touched != data:
                break
        writer.close()


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """Return the keys of the end that begins, and of the one that answers."""
    for name in ("west", "east"):
        make_key(tmp_path / name)
    return tmp_path / "west", tmp_path / "east"


@asynccontextmanager
async def joined(keys: tuple[Path, Path], relay: Relay) -> AsyncIterator[tuple[End, End]]:
    """Hold a tunnel; yields both ends."""
    west, east = keys
    ready: asyncio.Future[End] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def answer() -> None:
        async with tunnel.answered(east, relay.carry_east) as end:
            ready.set_result(end)
            await done.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer(), name="answer")
        async with tunnel.begun(west, relay.carry_west) as end:
            try:
                yield end, await ready
            finally:
                done.set()


async def test_each_end_learns_the_other_s_key(keys: tuple[Path, Path]) -> None:
    async with joined(keys, Relay()) as (west, east):
        assert west.key == HostKey(keys[1]).public
        assert east.key == HostKey(keys[0]).public


async def test_what_one_end_writes_the_other_reads_and_none_between(keys: tuple[Path, Path]) -> None:
    relay = Relay()
    async with joined(keys, relay) as (west, east):
        for one, other in ((west, east), (east, west)):
            one.writer.write(b"secret" + FILE)
            heard = b""
            while len(heard) < len(FILE) + 6:
                heard += await other.reader.read(1 << 20)
            assert heard == b"secret" + FILE
        assert len(relay.seen) > 2 * len(FILE)
        assert b"secret" not in relay.seen


def flip_late(after: int) -> Touch:
    """Return what alters one bit of what comes after so many bytes."""
    passed = 0

    def flip(data: bytes) -> bytes:
        nonlocal passed
        passed += len(data)
        return data if passed <= after else data[:-1] + bytes([data[-1] ^ 1])

    return flip


async def heard_until_the_end(end: End) -> bytes:
    """Read what comes, to the end or the break."""
    heard = b""
    with suppress(ConnectionError):
        while data := await end.reader.read(65536):
            heard += data
    return heard


async def test_what_is_altered_on_the_way_is_never_read(keys: tuple[Path, Path]) -> None:
    relay = Relay()
    async with joined(keys, relay) as (west, east):
        relay.touch = flip_late(0)
        west.writer.write(b"pay 1 to bob")
        assert await heard_until_the_end(east) == b""


async def test_what_is_put_in_or_sent_again_on_the_way_is_never_read(keys: tuple[Path, Path]) -> None:
    for touch in (lambda data: data + data, lambda data: b"\0" * 64 + data):
        relay = Relay()
        async with joined(keys, relay) as (west, east):
            relay.touch = touch
            west.writer.write(b"once")
            assert await heard_until_the_end(east) in {b"", b"once"}


async def test_a_handshake_that_is_altered_leads_to_nothing(keys: tuple[Path, Path]) -> None:
    with pytest.raises(ExceptionGroup) as failed:
        async with joined(keys, Relay(flip_late(500))):
            pass
    assert failed.group_contains(ConnectionError)


@asynccontextmanager
async def logged_in(keys: tuple[Path, Path]) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Yield what any SSH client gets of the end that answers."""
    relay = Relay()

    async def answer() -> None:
        with suppress(OSError):
            async with tunnel.answered(keys[1], relay.carry_east) as end:
                await end.reader.read(1)

    near, far = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=near)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer(), name="answer")
        tasks.create_task(relay.carry_west(reader, writer), name="carry")
        async with asyncssh.connect(
            "x", sock=far, config=None, username="x", known_hosts=None, client_keys=[os.fspath(keys[0])]
        ) as ssh:
            yield ssh
    writer.close()
    await writer.wait_closed()


async def test_only_the_conversation_is_offered(keys: tuple[Path, Path]) -> None:
    async with logged_in(keys) as ssh:
        for command, subsystem in (("true", ()), ((), ()), ((), "sftp")):
            with pytest.raises(asyncssh.ChannelOpenError):
                await ssh.open_session(command, subsystem=subsystem)
        with pytest.raises(asyncssh.ChannelOpenError):
            await ssh.open_connection("127.0.0.1", 22)
        with pytest.raises(asyncssh.ChannelListenError):
            await ssh.forward_remote_port("", 0, "127.0.0.1", 22)


async def test_one_tunnel_carries_one_conversation(keys: tuple[Path, Path]) -> None:
    async with logged_in(keys) as ssh:
        writer, _, _ = await ssh.open_session(subsystem=SUBSYSTEM, encoding=None)
        with pytest.raises(asyncssh.ChannelOpenError):
            await ssh.open_session(subsystem=SUBSYSTEM, encoding=None)
        writer.close()
