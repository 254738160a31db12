"""A text for a pane, perhaps with a file, sent by the agent itself: once, however often it is tried."""

import asyncio
import time
from pathlib import Path

import msgspec

from agentmesh.adapters.outgoing import open_outgoing
from agentmesh.agent.courier import Carrier
from agentmesh.agent.dropping import Dropping
from agentmesh.agent.postman import Postman
from agentmesh.agent.progress import Progress
from agentmesh.core.address import Address
from agentmesh.core.drop import announcement
from agentmesh.core.model import Message, MessageId, Receipt
from agentmesh.store import outbox
from agentmesh.store.database import Database

PATIENCE_SECONDS = 24 * 3600
"""How long the text may wait for its pane."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a pane is to read."""

    id: MessageId
    """The same for the same note: by it, one that was sent before is known."""
    sender: str
    to: Address
    host: str
    text: str
    file: Path | None = None


class Handover:
    """Drops the file, then queues the message."""

    def __init__(self, database: Database, postman: Postman, dropping: Dropping, carrier: Carrier) -> None:
        self._database = database
        self._postman = postman
        self._dropping = dropping
        self._carrier = carrier

    async def send(self, note: Note) -> None:
        """Send a note that wasn't sent before; when this returns, it is on the disk, and the file on the pane's host.

        Raises BadFile, DropFailed, Unreachable.
        """
        if await self.receipt(note.id):
            return
        body = await self._dropped(note, note.file) if note.file else note.text
        now = int(time.time())
        message = Message(
            id=note.id,
            sender=note.sender,
            to=note.to,
            host=note.host,
            body=body,
            sent=now,
            expires=now + PATIENCE_SECONDS,
        )
        await self._postman.queue(message, self._carrier)

    async def receipt(self, identifier: MessageId) -> Receipt | None:
        """Return how far a note got; None if it wasn't sent, or is forgotten."""
        return await self._database.write(outbox.find, identifier)

    async def _dropped(self, note: Note, path: Path) -> str:
        """Drop a file; return the text that announces it."""
        with await asyncio.to_thread(open_outgoing, path) as file:
            await asyncio.to_thread(file.measure, lambda _: None)
            place = await self._dropping.carry(file, note.sender, note.host, Progress())
            return announcement(place, file.size, note.text)
