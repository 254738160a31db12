"""What a command drops: files, folders, its standard input. Opened and measured once, and brought to each host once."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from agentmesh.adapters.ipc import Request
from agentmesh.adapters.outgoing import Outgoing, Spool, open_outgoing
from agentmesh.agent.answer import Answer
from agentmesh.agent.arguments import Words
from agentmesh.agent.drops import Drops
from agentmesh.agent.progress import Progress, shown_progress
from agentmesh.agent.stream import FrameStream
from agentmesh.core.drop import safe_name
from agentmesh.core.model import Drop
from agentmesh.core.text import without_controls
from agentmesh.errors import ProtocolError, Unreachable

TRIES = 8
"""How often a drop that was cut is taken up again, since it last got further."""
BEGINNINGS = 2
"""How often one is that was cut before anything had come of it: a link may be giving way to another just then."""
FIRST_PAUSE_SECONDS = 0.5
LAST_PAUSE_SECONDS = 10.0
INPUT_PIECE = 1024 * 1024 - 1
"""Bytes of standard input that are asked for at once."""


class DropConversations(Protocol):
    """What brings files to other hosts."""

    async def reach(self, host: str) -> None:
        """Have a link to a host. Raises Unreachable."""

    def drop_conversation(self, host: str) -> AbstractAsyncContextManager[FrameStream]:
        """Open a conversation for one file with a host that there is a link to. Raises Unreachable."""


class Parcel:
    """The files of one command."""

    def __init__(self, files: list[Outgoing], sender: str, dropping: "Dropping", progress: Progress) -> None:
        self._files = files
        self._sender = sender
        self._dropping = dropping
        self._progress = progress
        self._hosts: dict[str, asyncio.Future[tuple[Drop, ...]]] = {}

    async def drop_on(self, host: str) -> tuple[Drop, ...]:
        """Drop every file on a host, however many panes there are told of them.

        Raises BadFile, DropFailed, Unreachable.
        """
        if host not in self._hosts:
            self._hosts[host] = asyncio.ensure_future(self._drop_on(host))
        return await self._hosts[host]

    async def close(self) -> None:
        """Stop what is still under way."""
        for dropping in self._hosts.values():
            dropping.cancel()
        await asyncio.gather(*self._hosts.values(), return_exceptions=True)

    async def _drop_on(self, host: str) -> tuple[Drop, ...]:
        drops = []
        for file in self._files:
            path = await self._dropping.carry(file, self._sender, host, self._progress)
            drops.append(Drop(path=path, size=file.size, sha256=file.sha256, folder=file.folder))
        return tuple(drops)


class Dropping:
    """Brings files to hosts: to this one by copying, to others over their links, again after a cut."""

    def __init__(self, alias: str, drops: Drops, conversations: DropConversations, spool: Path, largest: int) -> None:
        self._alias = alias
        self._drops = drops
        self._conversations = conversations
        self._spool = spool
        self._largest = largest

    @asynccontextmanager
    async def parcel(self, words: Words, request: Request, answer: Answer, sender: str) -> AsyncIterator[Parcel]:
        """Open and measure what a command wants to drop. Raises BadFile, DropFailed."""
        with ExitStack() as opened:
            async with shown_progress(request, answer, quiet=words.json or not words.files) as progress:
                files = []
                for name in words.files:
                    if name == "-":
                        file = opened.enter_context(await self._read_input(words.name or "", answer))
                    else:
                        file = opened.enter_context(await asyncio.to_thread(open_outgoing, _path(name, request)))
                    async with progress.step(f"reading {file.name}", file.size) as step:
                        await asyncio.to_thread(file.measure, step.advance)
                    if file.left_out:
                        listed = without_controls(", ".join(file.left_out))
                        await answer.write_error(
                            f"notify-pane: {file.name} is without what no file can hold: {listed}\n"
                        )
                    files.append(file)
                parcel = Parcel(files, sender, self, progress)
                try:
                    yield parcel
                finally:
                    await parcel.close()

    async def carry(self, file: Outgoing, sender: str, host: str, progress: Progress) -> str:
        """Bring a file to a host; returns its path there. After a cut it goes on from what has come.

        Raises BadFile, DropFailed, Unreachable.
        """
        async with progress.step(f"{file.name} to {host}", file.size) as step:
            if host == self._alias:
                return await self._drops.copy(file, sender, step.advance)
            furthest, failures = -1, 0
            while True:
                step.done, is_reached = 0, False
                try:
                    await self._conversations.reach(host)
                    is_reached = True
                    async with self._conversations.drop_conversation(host) as stream:
                        return await self._drops.send(stream, file, sender, host, step.advance)
                except (Unreachable, ProtocolError) as error:
                    failures = failures + 1 if step.done <= furthest else 0
                    furthest = max(furthest, step.done)
                    if not furthest and not (is_reached and failures < BEGINNINGS):
                        raise
                    if failures == TRIES:
                        reason = f"{error.facts['reason']}; what has come is kept there: send it again to go on from it"
                        raise Unreachable(host=host, reason=reason) from error
                await asyncio.sleep(min(LAST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**failures))

    async def _read_input(self, name: str, answer: Answer) -> Outgoing:
        """Keep the command's standard input until it is sent. Raises BadFile, DropFailed."""
        spool = await asyncio.to_thread(Spool, self._spool, safe_name(name), self._largest)
        try:
            while data := await answer.read_input(INPUT_PIECE):
                await asyncio.to_thread(spool.write, data)
                if len(data) <= INPUT_PIECE:
                    break
            return spool.outgoing()
        except BaseException:
            spool.close()
            raise


def _path(name: str, request: Request) -> Path:
    """Return a file that the caller named: from its own folder, or one of its own open descriptors."""
    path = Path(os.path.normpath(request.folder / name))
    if path.parent == Path("/dev/fd"):
        return Path(f"/proc/{request.pid}/fd/{path.name}")
    return request.folder / name
