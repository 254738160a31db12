"""Files for panes: send one to its host, take one in."""

import asyncio
from hashlib import sha256
from pathlib import Path

from agentmesh.adapters.files import Incoming, Outgoing, shown_path
from agentmesh.agent.log import log
from agentmesh.agent.stream import FrameStream
from agentmesh.config import Drops as DropsConfig
from agentmesh.core.drop import safe_name
from agentmesh.core.wire import CHUNK, Chunk, Dropped, Offer, Ready, Refusal
from agentmesh.errors import DropFailed, ProtocolError, Unreachable


class Drops:
    """The folder that files are dropped into, and the way files get into another host's."""

    def __init__(self, config: DropsConfig) -> None:
        self._folder = Path(config.folder).expanduser()
        self._largest = config.largest

    async def copy(self, file: Outgoing, sender: str) -> str:
        """Drop a file on this host itself; returns its path as a person writes it. Raises DropFailed."""
        with await self._incoming(sender, file.name, file.size, file.sha256) as incoming:
            while incoming.offset < file.size:
                await asyncio.to_thread(lambda: incoming.write(file.read(incoming.offset, CHUNK)))
            return shown_path(await asyncio.to_thread(incoming.finish))

    async def keep_text(self, text: str, name: str, sender: str) -> tuple[str, int]:
        """Put a text that can't be typed into a file of the sender's; returns its path and its size in bytes."""
        folder = self._folder / safe_name(sender)
        path = await asyncio.to_thread(_keep, folder, safe_name(name), text.encode(), self._largest)
        return shown_path(path), len(text.encode())

    async def send(self, stream: FrameStream, file: Outgoing, sender: str, host: str) -> str:
        """Send a file on a conversation of its own; returns its path there. Raises DropFailed, Unreachable."""
        await stream.send(Offer(sender=sender, name=file.name, size=file.size, sha256=file.sha256))
        answer = await stream.read()
        if isinstance(answer, Ready):
            offset = answer.offset
            while offset < file.size:
                data = await asyncio.to_thread(file.read, offset, CHUNK)
                if not data:
                    raise DropFailed(name=file.name, host=host, reason="it became shorter while it was read")
                await stream.send(Chunk(data))
                offset += len(data)
            answer = await stream.read()
        match answer:
            case Dropped(path):
                return path
            case Refusal(reason):
                raise DropFailed(name=file.name, host=host, reason=reason)
            case None:
                raise Unreachable(host=host, reason="the link ended during the transfer")
            case _:
                raise ProtocolError(reason="an answer to an offer was expected")

    async def take(self, stream: FrameStream) -> None:
        """Take in the file that a peer offers on a conversation."""
        offer = await stream.read()
        if not isinstance(offer, Offer):
            raise ProtocolError(reason="an offer was expected")
        try:
            with await self._incoming(offer.sender, offer.name, offer.size, offer.sha256) as incoming:
                await stream.send(Ready(incoming.offset))
                while incoming.offset < offer.size:
                    match await stream.read():
                        case Chunk(data):
                            await asyncio.to_thread(incoming.write, data)
                        case None:
                            log.info("drop interrupted; what came is kept", bytes=incoming.offset)
                            return
                        case _:
                            raise ProtocolError(reason="a chunk was expected")
                path = await asyncio.to_thread(incoming.finish)
        except DropFailed as error:
            await stream.send(Refusal(str(error.facts["reason"])))
        else:
            await stream.send(Dropped(shown_path(path)))

    async def _incoming(self, sender: str, name: str, size: int, sha256: str) -> Incoming:
        folder = self._folder / safe_name(sender)
        return await asyncio.to_thread(Incoming, folder, safe_name(name), size, sha256, self._largest)


def _keep(folder: Path, name: str, data: bytes, largest: int) -> Path:
    with Incoming(folder, name, len(data), sha256(data).hexdigest(), largest) as incoming:
        incoming.write(data)
        return incoming.finish()
