"""Files for panes: send one to its host, take one in."""

import asyncio
from collections.abc import Awaitable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from agentmesh.adapters.files import shown_path
from agentmesh.adapters.incoming import BeingReceived, Incoming, sweep
from agentmesh.adapters.outgoing import Advance, Outgoing
from agentmesh.agent.log import log
from agentmesh.agent.stream import FrameStream
from agentmesh.config import Drops as DropsConfig
from agentmesh.core.drop import safe_name
from agentmesh.core.text import printable
from agentmesh.core.wire import CHUNK, Bye, Chunk, Dropped, Frame, Offer, Ready, Refusal
from agentmesh.errors import DropFailed, ProtocolError, Unreachable

T = TypeVar("T")

SILENT_SECONDS = 30.0
"""A sender that sends nothing for so long is gone, though nobody has told."""
ANSWER_SECONDS = 120.0
"""How long a receiver may take for its next step; it may have to read all that it has."""
TURN_SECONDS = 60.0
"""How long a drop waits while the same one is being received already; longer than a sender may be silent."""
TURN_POLL_SECONDS = 0.05
LAST_SECONDS = 5.0
"""How long a sender may take to hear that its file is refused."""
SPARE = 64 * 1024 * 1024
"""Bytes of the home's disk that no drop fills: messages and receipts must still find their place."""


class Drops:
    """The folder that files are dropped into, and the way files get into another host's."""

    def __init__(self, config: DropsConfig, home: Path) -> None:
        self._folder = Path(config.folder).expanduser()
        self._home = home
        self._largest = config.largest
        self._arriving: set[Incoming] = set()
        self._opening = asyncio.Lock()

    async def copy(self, file: Outgoing, sender: str, advance: Advance) -> str:
        """Drop a file on this host itself; returns its path as a person writes it. Raises BadFile, DropFailed."""
        incoming = await self._open(Offer(sender=sender, name=file.name, size=file.size, sha256=file.sha256))
        try:
            path = None
            while path is None:
                while incoming.missing:
                    before = incoming.offset
                    await asyncio.to_thread(lambda: incoming.write(file.read(incoming.offset, CHUNK)))
                    advance(incoming.offset - before)
                path = await asyncio.to_thread(incoming.finish)
            return shown_path(path)
        finally:
            self._close(incoming)

    async def keep_text(self, text: str, name: str, sender: str) -> tuple[str, int]:
        """Put a text that can't be typed into a file of the sender's; returns its path and its size in bytes."""
        data = text.encode()
        incoming = await self._open(Offer(sender=sender, name=name, size=len(data), sha256=sha256(data).hexdigest()))
        try:
            path = await asyncio.to_thread(_fill, incoming, data)
        finally:
            self._close(incoming)
        return shown_path(path), len(data)

    async def send(self, stream: FrameStream, file: Outgoing, sender: str, host: str, advance: Advance) -> str:
        """Send a file on a conversation of its own; returns its path there.

        Raises BadFile, DropFailed, Unreachable.
        """
        await _in_time(stream.send(Offer(sender=sender, name=file.name, size=file.size, sha256=file.sha256)), host)
        answer = await _in_time(stream.read(), host)
        begun = 0
        while isinstance(answer, Ready) and begun < 2:  # noqa: PLR2004 (once more, from the first byte)
            begun += 1
            answer = await _send_from(answer.offset, stream, file, host, advance)
        match answer:
            case Dropped(path):
                return path
            case Refusal(reason):
                raise DropFailed(name=file.name, host=host, reason=reason)
            case Bye(reason):
                raise Unreachable(host=host, reason=f"it said: {printable(reason)}")
            case None:
                raise Unreachable(host=host, reason="the link ended during the transfer")
            case _:
                raise ProtocolError(reason="an answer to an offer was expected")

    async def take(self, stream: FrameStream) -> None:
        """Take in the file that a peer offers on a conversation."""
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                offer = await stream.read()
        except TimeoutError as error:
            raise ProtocolError(reason=f"no offer within {SILENT_SECONDS:g} s") from error
        if not isinstance(offer, Offer):
            raise ProtocolError(reason="an offer was expected")
        try:
            incoming = await self._open(offer)
            try:
                path = None
                while path is None:
                    log.info("drop begins", bytes=offer.size, **{"from": incoming.offset})
                    await stream.send(Ready(incoming.offset))
                    if not await _receive(stream, incoming):
                        log.info("drop interrupted; what came is kept", bytes=incoming.offset)
                        return
                    path = await asyncio.to_thread(incoming.finish)
            finally:
                self._close(incoming)
        except DropFailed as error:
            await stream.send(Refusal(str(error.facts["reason"])))
            await _hear_out(stream)
        else:
            await stream.send(Dropped(shown_path(path)))

    async def sweep(self) -> None:
        """Remove what drops that were interrupted long ago have left."""
        try:
            if removed := await asyncio.to_thread(sweep, self._folder):
                log.info("parts of old drops removed", parts=removed)
        except OSError as error:
            log.warning("parts of old drops not removed", reason=error)

    async def _open(self, offer: Offer) -> Incoming:
        """Make ready for a file, when nobody else receives the same. Raises DropFailed."""
        name, folder = safe_name(offer.name), self._folder / safe_name(offer.sender)
        if offer.size > self._largest:
            reason = f"it has {offer.size:,} bytes; at most {self._largest:,} are taken there"
            raise DropFailed(name=name, host="this host", reason=reason)
        try:
            async with asyncio.timeout(TURN_SECONDS):
                while True:
                    try:
                        async with self._opening:
                            incoming = await asyncio.to_thread(self._begin, folder, name, offer)
                            self._arriving.add(incoming)
                            return incoming
                    except BeingReceived:
                        await asyncio.sleep(TURN_POLL_SECONDS)
        except TimeoutError as error:
            raise DropFailed(name=name, host="this host", reason="it is being received already") from error

    def _begin(self, folder: Path, name: str, offer: Offer) -> Incoming:
        spoken_for = sum(incoming.missing for incoming in self._arriving)
        if _device(folder) == _device(self._home):
            spoken_for += SPARE
        return Incoming(folder, name, offer.size, offer.sha256, spoken_for)

    def _close(self, incoming: Incoming) -> None:
        self._arriving.discard(incoming)
        incoming.close()


def _fill(incoming: Incoming, data: bytes) -> Path:
    while True:
        incoming.write(data[incoming.offset :])
        if path := incoming.finish():
            return path


async def _send_from(offset: int, stream: FrameStream, file: Outgoing, host: str, advance: Advance) -> Frame | None:
    """Send a file's bytes from an offset on; returns the answer, which may come early."""
    advance(offset)
    answer = asyncio.ensure_future(stream.read())
    reading = asyncio.ensure_future(asyncio.to_thread(file.read, offset, CHUNK))
    begun: list[asyncio.Future[Any]] = [answer, reading]
    try:
        while offset < file.size and not answer.done():
            data = await reading
            # The next chunk is read while this one is sent.
            reading = asyncio.ensure_future(asyncio.to_thread(file.read, offset + len(data), CHUNK))
            sending = asyncio.ensure_future(_in_time(stream.send(Chunk(data)), host))
            begun = [answer, reading, sending]
            await asyncio.wait((answer, sending), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                break
            try:
                await sending
            except OSError:
                break  # it has closed the conversation: perhaps with a reason
            offset += len(data)
            advance(len(data))
        return await _in_time(answer, host)
    finally:
        for future in begun:
            future.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


async def _receive(stream: FrameStream, incoming: Incoming) -> bool:
    """Take in what is missing; returns whether all of it has come. Raises DropFailed."""
    announced = incoming.missing
    writing: asyncio.Future[None] | None = None
    try:
        while announced > 0:
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    frame = await stream.read()
            except TimeoutError:
                return False
            match frame:
                case Chunk(data):
                    # A chunk is written while the next one comes.
                    if writing is not None:
                        await writing
                    writing = asyncio.ensure_future(asyncio.to_thread(incoming.write, data))
                    announced -= len(data)
                case None:
                    return False
                case _:
                    raise ProtocolError(reason="a chunk was expected")
    finally:
        if writing is not None:
            await writing
    return True


async def _hear_out(stream: FrameStream) -> None:
    """Pass over what was under way when the file was refused, so that the sender reads the reason first."""
    try:
        async with asyncio.timeout(LAST_SECONDS):
            while await stream.read() is not None:
                pass
    except (TimeoutError, OSError, ProtocolError):
        pass


async def _in_time(work: Awaitable[T], host: str) -> T:
    """Wait for the other side. Raises Unreachable when it stands still."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await work
    except TimeoutError as error:
        raise Unreachable(host=host, reason=f"it has not answered for {ANSWER_SECONDS:g} s") from error


def _device(folder: Path) -> int:
    """Return the disk that a folder lies on, or will lie on."""
    while not folder.exists():
        folder = folder.parent
    return folder.stat().st_dev
