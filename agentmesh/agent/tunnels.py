"""Conversations over a relay: frames in an SSH connection of both ends, whose bytes are all that the relay carries."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from agentmesh.adapters.tunnel import Carry, End
from agentmesh.agent.relay import join
from agentmesh.agent.stream import FrameStream

FIRST_SECONDS = 10.0
"""How long the end that begins may be silent."""
OpenEnd = Callable[[Carry], AbstractAsyncContextManager[End]]
"""Begins or answers a tunnel whose bytes are carried. Raises OSError."""


@asynccontextmanager
async def tunnelled(
    carrier: FrameStream, open_end: OpenEnd, heard: bytes = b""
) -> AsyncIterator[tuple[FrameStream, str]]:
    """Hold a conversation with the host that a relay has opened the way to, or from; ``heard`` are its first bytes.

    Yields it, and the key that the other end has proven to have. Afterwards the carrier is closed: a frame of this
    host's would only be noise in it. Raises OSError when the tunnel doesn't come about.
    """

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(heard)
        await join(carrier, FrameStream(reader, writer))

    try:
        async with open_end(carry) as end:
            stream = FrameStream(end.reader, end.writer)
            try:
                yield stream, end.key
            finally:
                stream.close()
    finally:
        carrier.close()


async def first_bytes(carrier: FrameStream) -> bytes:
    """Wait until the end that begins has spoken: a relay whose own hello isn't answered yet would not expect ours.

    Raises ProtocolError, OSError.
    """
    async with asyncio.timeout(FIRST_SECONDS):
        return await carrier.read_bytes()
