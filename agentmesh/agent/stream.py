"""Frames over any pair of byte streams, with bounds on what the other side can make this one keep, or wait for.

Nothing here grows with what a peer sends, or doesn't read: frames are read as fast as they are worked on, and sent as
fast as they are read. Who stands still in the middle of a frame is left.
"""

import asyncio
from collections import deque
from typing import Protocol

import msgspec

from agentmesh.agent.log import log
from agentmesh.core.wire import Decoder, Frame, encode
from agentmesh.errors import ProtocolError

READ_SIZE = 256 * 1024


class Limits(msgspec.Struct, frozen=True):
    """What one conversation may cost."""

    frame_seconds: float = 30.0
    """How long a frame may take from its first byte to its last."""
    send_seconds: float = 60.0
    """How long the other side may leave a frame unread."""
    linger_seconds: float = 10.0
    """How long it may take to read the rest when the conversation is closed."""
    unread: int = 4 * 1024 * 1024
    """Bytes of answers that it may leave unread."""
    in_work: int = 64
    """Messages that are worked on at once; no more frames are read until one of them has ended, or may wait."""


LIMITS = Limits()


class Transport(Protocol):
    """What is below a writer, as asyncio and asyncssh have it."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are queued."""

    def abort(self) -> None:
        """Close at once, whatever is queued."""


class Reader(Protocol):
    """The side that bytes come from, as asyncio and asyncssh have it."""

    async def read(self, n: int = -1, /) -> bytes:
        """Return what has come, at most ``n`` bytes; empty at the end."""
        ...


class Writer(Protocol):
    """The side that bytes go to, as asyncio and asyncssh have it."""

    @property
    def transport(self) -> Transport:
        """What is below."""

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

    def __init__(self, reader: Reader, writer: Writer, begun: bytes = b"", limits: Limits = LIMITS) -> None:
        """Speak over two streams; ``begun`` are bytes that were read already."""
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._decoder = Decoder()
        self._begun = begun
        self._frames: deque[Frame] = deque()
        self._sending = asyncio.Lock()
        self._is_over = False
        self.closed = asyncio.Event()
        """Set when this side has ended the conversation."""
        self.work = asyncio.Semaphore(limits.in_work)
        """Room for messages that are worked on."""

    async def read(self) -> Frame | None:
        """Return the next frame, or None at the end. Raises ProtocolError, OSError."""
        if self._frames:
            await asyncio.sleep(0)  # however many have come at once: others have their turn between two of them
        else:
            await self._fill()
        return self._frames.popleft() if self._frames else None

    async def send(self, *frames: Frame) -> None:
        """Send frames, together, when those before them have been read.

        Raises ProtocolError when one of them can't be sent, and none was; OSError when the stream breaks.
        """
        self._check()
        await self._send(b"".join(map(encode, frames)))

    async def read_bytes(self) -> bytes:
        """Return bytes as they come, empty at the end. Raises ProtocolError when some came before they were awaited."""
        if self._frames or self._decoder.is_amid_frame:
            raise ProtocolError(reason="the peer spoke before it was answered")
        return await self._reader.read(READ_SIZE)

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are. Raises OSError when the stream is broken."""
        await self._send(data)

    def answer(self, frame: Frame) -> None:
        """Send a small frame without waiting: what a peer has asked for must not wait until it reads.

        Raises OSError when it reads too little.
        """
        self._check()
        self._writer.write(encode(frame))
        if self._writer.transport.get_write_buffer_size() > self._limits.unread:
            self._leave(f"it leaves more than {self._limits.unread:,} bytes of answers unread")

    def close(self) -> None:
        """End the conversation; who doesn't read the rest soon won't get it."""
        self._is_over = True
        self._writer.close()
        self.closed.set()
        asyncio.get_running_loop().call_later(self._limits.linger_seconds, self._writer.transport.abort)

    async def _fill(self) -> None:
        """Wait for a frame, or the end."""
        loop, deadline = asyncio.get_running_loop(), None
        while not self._frames:
            if deadline is None and self._decoder.is_amid_frame:
                deadline = loop.time() + self._limits.frame_seconds
            try:
                async with asyncio.timeout_at(deadline) as limit:
                    data = self._begun or await self._reader.read(READ_SIZE)
                self._begun = b""
            except TimeoutError as error:
                if not limit.expired():
                    raise
                reason = f"a frame was not whole {self._limits.frame_seconds:g} s after it had begun"
                raise ProtocolError(reason=reason) from error
            if not data:
                if self._decoder.is_amid_frame:
                    raise ProtocolError(reason="it ended in the middle of a frame")
                return
            self._frames.extend(self._decoder.feed(data))

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            self._check()
            await self._drain()  # whoever sent before may have been cancelled
            self._writer.write(data)
            await self._drain()

    async def _drain(self) -> None:
        """Wait until what was sent is read, but for a little."""
        try:
            async with asyncio.timeout(self._limits.send_seconds) as limit:
                await self._writer.drain()
        except OSError:
            # A stream that is broken says so once: asyncio would raise the very same exception again and again, which
            # keeps the frames of all that it went through, and with them what was to be sent.
            self._is_over = True
            if limit.expired():
                self._leave(f"it has read nothing for {self._limits.send_seconds:g} s")
            raise

    def _check(self) -> None:
        if self._is_over:
            raise ConnectionAbortedError("the conversation is over")

    def _leave(self, reason: str) -> None:
        log.warning("conversation cut", reason=reason)
        self._is_over = True
        self._writer.transport.abort()
        raise ConnectionAbortedError(reason)
