"""SSH from end to end over what another host carries: both ends prove their keys, and none between reads or alters.

It carries one conversation. The end that has begun is SSH's client, the other the server, each with its host's own key.
Whose key may say what is judged by whoever asked for the tunnel: here any key is taken, and told. asyncssh.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import asyncssh

from agentmesh.adapters.keys import line
from agentmesh.adapters.ssh import LOGIN_SECONDS, SUBSYSTEM, SshReader, SshWriter, WireSession, open_session

DESCRIPTORS = 2
"""What each end of a tunnel costs."""
CLOSE_SECONDS = 10.0
"""How long the other end may take to read the rest when the conversation is over."""
_NOBODY = "agentmesh"
"""SSH wants a host's and a user's name; they mean nothing here."""

Carry = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Carries bytes both ways between these streams and the other end, until either side ends."""
_Connection = asyncssh.SSHClientConnection | asyncssh.SSHServerConnection
_Streams = tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]


class End(NamedTuple):
    """One end of a tunnel."""

    reader: SshReader
    writer: SshWriter
    key: str
    """What the other end has proven to have: algorithm and key."""


class _Client(asyncssh.SSHClient):
    """Notes the key of the other end, which stays the same when new session keys are agreed on."""

    key = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002 (asyncssh's signature)
        self.key = self.key or line(key)
        return self.key == line(key)


class _Server(asyncssh.SSHServer):
    """Lets any key in, once, for one conversation, and notes which it was. Everything else is asyncssh's no."""

    key = ""
    _shown = ""

    def __init__(self) -> None:
        self.streams: asyncio.Future[_Streams] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.streams.done():
            self.streams.set_exception(ConnectionError(str(exc or "it ended before it had begun")))
            self.streams.exception()  # whoever waited for it may be gone

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002 (asyncssh's signature)
        self._shown = line(key)
        return True

    def auth_completed(self) -> None:
        # A key may be shown without being proven; asyncssh calls this in the very step in which the last one was.
        self.key = self._shown

    def session_requested(self) -> WireSession | bool:
        return False if self.streams.done() else WireSession(self._begin, None)

    async def _begin(
        self, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes], _: asyncssh.SSHWriter[bytes]
    ) -> None:
        if self.streams.done():
            writer.close()
        else:
            self.streams.set_result((reader, writer))


@asynccontextmanager
async def begun(key: Path, carry: Carry) -> AsyncIterator[End]:
    """Begin a conversation with what is at the other end. Raises OSError when that doesn't come about."""
    client = _Client()
    async with _carried(carry) as far:
        with _as_connection_error():
            async with asyncio.timeout(LOGIN_SECONDS):
                connection = await asyncssh.connect(
                    _NOBODY,
                    sock=far,
                    config=None,
                    client_factory=lambda: client,
                    username=_NOBODY,
                    client_keys=[os.fspath(key)],
                    agent_path=None,
                    known_hosts=([], [], []),
                    gss_host=None,
                    compression_algs=None,
                    login_timeout=LOGIN_SECONDS,
                )
                writer, reader, _ = await open_session(connection, subsystem=SUBSYSTEM)
        async with _ending(connection, writer):
            yield End(SshReader(reader), SshWriter(writer), client.key)


@asynccontextmanager
async def answered(key: Path, carry: Carry) -> AsyncIterator[End]:
    """Take the conversation that the other end begins. Raises OSError when that doesn't come about."""
    server = _Server()
    async with _carried(carry) as far:
        with _as_connection_error():
            async with asyncio.timeout(LOGIN_SECONDS):
                connection = await asyncssh.run_server(
                    far,
                    config=None,
                    server_factory=lambda: server,
                    server_host_keys=[os.fspath(key)],
                    gss_host=None,
                    encoding=None,
                    allow_pty=False,
                    agent_forwarding=False,
                    x11_forwarding=False,
                    allow_scp=False,
                    compression_algs=None,
                    login_timeout=LOGIN_SECONDS,
                )
                reader, writer = await server.streams
        async with _ending(connection, writer):
            yield End(SshReader(reader), SshWriter(writer), server.key)


@contextmanager
def _as_connection_error() -> Iterator[None]:
    try:
        yield
    except (asyncssh.Error, asyncssh.KeyImportError, ValueError) as error:
        raise ConnectionError(str(error)) from error


@asynccontextmanager
async def _carried(carry: Carry) -> AsyncIterator[socket.socket]:
    """Yield a socket whose bytes are carried; what was written to it when it is closed is carried still."""
    near, far = socket.socketpair()
    try:
        reader, writer = await asyncio.open_connection(sock=near)
    except BaseException:
        near.close()
        far.close()
        raise

    async def carry_all() -> None:
        try:
            await carry(reader, writer)
        finally:
            writer.close()

    carrying = asyncio.ensure_future(carry_all())
    try:
        yield far
        await asyncio.wait({carrying}, timeout=CLOSE_SECONDS)
    finally:
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
        far.close()


@asynccontextmanager
async def _ending(connection: _Connection, writer: asyncssh.SSHWriter[bytes]) -> AsyncIterator[None]:
    """End a connection with its conversation: in peace, or at once when whoever holds it is cancelled."""
    try:
        try:
            yield
        except Exception:
            await _close(connection, writer)
            raise
        await _close(connection, writer)
    finally:
        connection.abort()


async def _close(connection: _Connection, writer: asyncssh.SSHWriter[bytes]) -> None:
    writer.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await writer.channel.wait_closed()
            connection.close()
            await connection.wait_closed()
