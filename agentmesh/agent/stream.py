"""Frames over any pair of byte streams: an SSH session's, a Unix socket's, a process's standard streams."""

import asyncio
from typing import Protocol

from agentmesh.core.wire import Decoder, Frame, encode
from agentmesh.errors import ProtocolError

READ_SIZE = 256 * 1024


class Reader(Protocol):
    """The side that bytes come from, as asyncio and asyncssh have it."""

    async def read(self, n: int = -1, /) -> bytes:
        """Return what has come, at most ``n`` bytes; empty at the end."""
        ...


class Writer(Protocol):
    """The side that bytes go to, as asyncio and asyncssh have it."""

    def write(self, data: bytes, /) -> None:
        """Queue bytes."""
        ...

    async def drain(self) -> None:
        """Wait until there is room for more."""
        ...

    def close(self) -> None:
        """Write what is queued, then close."""
        ...


class FrameStream:
    """One conversation's frames."""

    def __init__(self, reader: Reader, writer: Writer, begun: bytes = b"") -> None:
        """Speak over two streams; ``begun`` are bytes that were read already."""
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._frames = self._decoder.feed(begun)
        self.closed = asyncio.Event()
        """Set when this side has ended the conversation."""

    async def read(self) -> Frame | None:
        """Return the next frame, or None at the end. Raises ProtocolError."""
        while not self._frames:
            data = await self._reader.read(READ_SIZE)
            if not data:
                if self._decoder.pending:
                    raise ProtocolError(reason="it ended in the middle of a frame")
                return None
            self._frames = self._decoder.feed(data)
        return self._frames.pop(0)

    async def send(self, frame: Frame) -> None:
        """Send a frame. Raises OSError when the stream is broken."""
        self._writer.write(encode(frame))
        await self._writer.drain()

    async def read_bytes(self) -> bytes:
        """Return bytes as they come, empty at the end. Raises ProtocolError when some came before they were awaited."""
        if self._frames or self._decoder.pending:
            raise ProtocolError(reason="the peer spoke before it was answered")
        return await self._reader.read(READ_SIZE)

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are. Raises OSError when the stream is broken."""
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """End the conversation."""
        self._writer.close()
        self.closed.set()
