"""What one conversation may cost: real sockets, and another side that stands still, or never reads."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from agentmesh.agent.stream import FrameStream, Limits
from agentmesh.core.wire import Chunk, Ready, encode
from agentmesh.errors import ProtocolError

CHUNK = Chunk(b"x" * 100_000)
PATIENT = Limits(frame_seconds=600, send_seconds=600, linger_seconds=600)


@asynccontextmanager
async def conversation(limits: Limits) -> AsyncIterator[tuple[FrameStream, socket.socket]]:
    """Yield a conversation, and the other side's end of it."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)  # noqa: FBT003 (the standard library's signature)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        yield FrameStream(reader, writer, limits=limits), theirs
    finally:
        theirs.close()
        writer.transport.abort()


async def received(theirs: socket.socket) -> int:
    """Return how many bytes the other side gets until the end."""
    total, loop = 0, asyncio.get_running_loop()
    with suppress(ConnectionResetError):
        while data := await loop.sock_recv(theirs, 1_000_000):
            total += len(data)
    return total


async def fill(stream: FrameStream) -> None:
    """Send until nothing more goes, now and after a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            while True:
                await stream.send(CHUNK)


def answer_for_ever(stream: FrameStream) -> None:
    while True:
        stream.answer(Ready(1))


async def test_a_frame_that_never_ends_is_left() -> None:
    async with conversation(Limits(frame_seconds=0.05)) as (stream, theirs):
        theirs.send(encode(Ready(1)) + encode(Ready(2))[:-1])
        assert await stream.read() == Ready(1)
        with pytest.raises(ProtocolError, match="not whole"):
            await stream.read()


async def test_silence_between_frames_is_no_fault() -> None:
    async with conversation(Limits(frame_seconds=0.01)) as (stream, theirs):
        theirs.send(encode(Ready(1)))
        assert await stream.read() == Ready(1)
        reading = asyncio.ensure_future(stream.read())
        await asyncio.wait({reading}, timeout=0.1)
        theirs.send(encode(Ready(2)))
        assert await reading == Ready(2)


async def test_who_reads_nothing_is_cut() -> None:
    async with conversation(Limits(send_seconds=0.05)) as (stream, _):
        sent = await asyncio.gather(*(stream.send(CHUNK) for _ in range(100)), return_exceptions=True)
        errors = [error for error in sent if error is not None]
        assert len(errors) > 50
        assert "it has read nothing" in str(errors[0])
        assert all(isinstance(error, OSError) for error in errors)
        assert await stream.read() is None


async def test_frames_that_wait_for_a_slow_reader_are_not_piled_up_below() -> None:
    async with conversation(PATIENT) as (stream, theirs):
        sending = [asyncio.ensure_future(stream.send(CHUNK)) for _ in range(100)]
        await asyncio.wait(sending, timeout=0.1)
        assert sum(task.done() for task in sending) < 20
        for task in sending[50:]:
            task.cancel()
        reading = asyncio.ensure_future(received(theirs))
        await asyncio.gather(*sending[:50])
        stream.close()
        assert await reading == 50 * len(encode(CHUNK))


async def test_who_leaves_too_many_answers_unread_is_cut() -> None:
    async with conversation(Limits(unread=200_000, send_seconds=600)) as (stream, theirs):
        with pytest.raises(OSError, match="unread"):
            answer_for_ever(stream)
        assert await received(theirs) < 1_000_000


async def test_others_have_their_turn_between_frames_that_came_at_once() -> None:
    async with conversation(PATIENT) as (stream, theirs):
        theirs.send(encode(Ready(1)) * 1000)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.ensure_future(other())
        for _ in range(1000):
            assert await stream.read() == Ready(1)
        beside.cancel()
        assert turns >= 1000


async def test_what_is_not_read_holds_no_conversation_open() -> None:
    async with conversation(Limits(linger_seconds=0.05)) as (stream, theirs):
        await fill(stream)
        stream.close()
        assert await stream.read() is None
        assert 0 < await received(theirs) < 5_000_000


async def test_a_stream_that_broke_keeps_nothing_of_what_could_not_be_sent() -> None:
    async with conversation(PATIENT) as (stream, theirs):
        await fill(stream)
        theirs.close()
        errors = await asyncio.gather(*(stream.send(CHUNK) for _ in range(50)), return_exceptions=True)
        assert all(isinstance(error, OSError) for error in errors)
        assert len({id(error) for error in errors}) == len(errors)
        with pytest.raises(OSError, match="is over"):
            stream.answer(Ready(1))
