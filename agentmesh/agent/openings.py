"""Begin conversations with hosts that there is a link to: on the connection dialled, or by inviting the host to one."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from agentmesh.adapters import ssh
from agentmesh.agent.stream import FrameStream
from agentmesh.core.wire import Hello, Invite
from agentmesh.errors import LinkRefused, Unreachable

COMING_SECONDS = 10.0
"""How long a host may take to follow an invitation."""

InviteHost = Callable[[str, Invite], Awaitable[None]]
"""Sends an invitation over the link to a host. Raises Unreachable."""


class Openings:
    """The connections that this host has dialled, and the invitations that wait to be followed."""

    def __init__(self, invite: InviteHost) -> None:
        self._invite = invite
        self._connections: dict[str, tuple[ssh.Connection, set[FrameStream]]] = {}
        self._invited: dict[str, tuple[str, asyncio.Future[FrameStream]]] = {}

    def has_connection(self, host: str) -> bool:
        """Tell whether this host has dialled another, and the connection stands."""
        return host in self._connections

    @contextmanager
    def using(self, host: str, connection: ssh.Connection) -> Iterator[set[FrameStream]]:
        """Let conversations be opened on a connection; yields those that were, and are not over."""
        opened: set[FrameStream] = set()
        self._connections[host] = connection, opened
        try:
            yield opened
        finally:
            del self._connections[host]

    async def open_on_connection(self, host: str) -> FrameStream:
        """Begin a conversation on the connection to a host. Raises Unreachable."""
        if host not in self._connections:
            raise Unreachable(host=host, reason="there is no connection of ours to it")
        connection, opened = self._connections[host]
        stream = FrameStream(*await connection.open_conversation())
        opened.difference_update([kept for kept in opened if kept.closed.is_set()])
        opened.add(stream)
        return stream

    async def open(self, host: str) -> FrameStream:
        """Begin a conversation with a host that there is a link to; its hello comes next. Raises Unreachable."""
        if host in self._connections:
            return await self.open_on_connection(host)
        ticket = secrets.token_hex(16)
        coming: asyncio.Future[FrameStream] = asyncio.get_running_loop().create_future()
        self._invited[ticket] = host, coming
        try:
            await self._invite(host, Invite(ticket))
            await asyncio.wait({coming}, timeout=COMING_SECONDS)
            if not coming.done():
                raise Unreachable(host=host, reason=f"it has not opened a conversation within {COMING_SECONDS:g} s")
            return coming.result()
        finally:
            self._invited.pop(ticket, None)
            coming.cancel()

    def arrived(self, hello: Hello, stream: FrameStream) -> None:
        """Hand a conversation that follows an invitation to whoever waits for it. Raises LinkRefused."""
        host, coming = self._invited.get(hello.ticket, ("", None))
        if coming is None or host != hello.host or coming.done():
            raise LinkRefused(reason="nobody has invited to this conversation, or waits for it any more")
        del self._invited[hello.ticket]
        coming.set_result(stream)
