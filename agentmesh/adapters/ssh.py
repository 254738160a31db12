"""SSH: dial a peer as OpenSSH would, and listen for peers. asyncssh."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.stream import SSHServerStreamSession

from agentmesh.core.authorized_keys import pinned_name
from agentmesh.errors import BadConfiguration, HostKeyUnknown, KeyNotTaken, Unreachable

if TYPE_CHECKING:
    from asyncssh.channel import SSHChannel
    from asyncssh.misc import MaybeAwait
    from asyncssh.public_key import KeyPairListArg

SUBSYSTEM = "agentmesh"
WIRE = "sh -c 'if [ -x ~/.agents/bin/agentmesh ]; then exec ~/.agents/bin/agentmesh wire; else exec agentmesh wire; fi'"
"""What a system sshd is asked to start. It is quoted for any login shell."""
CONNECT_SECONDS = 10
"""How long a host may take to answer at all."""
LOGIN_SECONDS = 30
"""How long SSH's handshake and the login may take from then on; on a host that computes much, both take seconds."""
KEEPALIVE_SECONDS = 15
KEEPALIVE_MISSES = 3
_LONGEST_COMPLAINT = 300
_NOT_FOUND = 127
"""What a POSIX shell exits with when there is no such program."""
_DEFAULTS = Path(__file__).with_name("ssh_defaults.conf")


class SshReader:
    """The side of a session that bytes come from; a broken connection is a ConnectionError, as for any stream."""

    def __init__(self, reader: asyncssh.SSHReader[bytes]) -> None:
        self._reader = reader

    async def read(self, n: int = -1, /) -> bytes:
        """Return what has come, at most ``n`` bytes; empty at the end."""
        try:
            return await self._reader.read(n)
        except asyncssh.Error as error:
            raise ConnectionError(str(error)) from error


class SshWriter:
    """The side of a session that bytes go to; a broken connection is a ConnectionError, as for any stream."""

    def __init__(self, writer: asyncssh.SSHWriter[bytes]) -> None:
        self._writer = writer

    def write(self, data: bytes, /) -> None:
        """Queue bytes."""
        self._writer.write(data)

    @property
    def transport(self) -> "SSHChannel[bytes]":
        """The channel below."""
        return self._writer.channel

    async def drain(self) -> None:
        """Wait until there is room for more."""
        try:
            await self._writer.drain()
        except asyncssh.Error as error:
            raise ConnectionError(str(error)) from error

    def close(self) -> None:
        """Write what is queued, then close."""
        self._writer.close()


OpenConnections = set[asyncssh.SSHServerConnection]
_Handler = Callable[[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes], asyncssh.SSHWriter[bytes]], Awaitable[None]]

OnStreams = Callable[[SshReader, SshWriter, str], Awaitable[None]]
"""Holds a conversation; is told the name that the caller's key is pinned to, empty for a key without one."""


async def open_session(
    connection: asyncssh.SSHClientConnection, command: str | None = None, *, subsystem: str | None = None
) -> tuple[asyncssh.SSHWriter[bytes], asyncssh.SSHReader[bytes], asyncssh.SSHReader[bytes]]:
    """Open a session for bytes; returns its standard streams. Raises asyncssh.Error, OSError."""
    try:
        return await connection.open_session(command, subsystem=subsystem, encoding=None, request_pty=False)
    except (AssertionError, AttributeError) as error:  # asyncssh takes it for granted that the connection still stands
        raise ConnectionError("the connection ended just then") from error


class Connection:
    """An SSH connection to a peer, on which any number of conversations can be opened."""

    def __init__(self, alias: str, connection: asyncssh.SSHClientConnection) -> None:
        self._alias = alias
        self._connection = connection
        self._link: tuple[asyncssh.SSHWriter[bytes], asyncssh.SSHReader[bytes]] | None = None

    async def open_conversation(self) -> tuple[SshReader, SshWriter]:
        """Start ``agentmesh wire`` on the far side, or, where an agent itself listens, ask for its subsystem.

        Raises Unreachable.
        """
        try:
            try:
                streams = await open_session(self._connection, WIRE)
            except asyncssh.ChannelOpenError:
                streams = await open_session(self._connection, subsystem=SUBSYSTEM)
        except (asyncssh.Error, OSError) as error:
            raise Unreachable(host=self._alias, reason=f"it doesn't offer a conversation ({error})") from error
        writer, reader, errors = streams
        self._link = self._link or (writer, errors)
        return SshReader(reader), SshWriter(writer)

    def abort(self) -> None:
        """End it at once; what is still to be sent is lost."""
        self._connection.abort()

    async def complaint(self) -> str:
        """Return what the far side has written to standard error in the first conversation, at most a line or two."""
        if self._link is None:
            return ""
        writer, errors = self._link
        try:
            async with asyncio.timeout(1):
                raw = await errors.read(_LONGEST_COMPLAINT)
        except (TimeoutError, asyncssh.Error, OSError):
            return ""
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await writer.channel.wait_closed()
        return " ".join(raw.decode(errors="replace").split())

    @property
    def found_no_program(self) -> bool:
        """Whether the far side's shell has not found the program, by the first conversation's end."""
        channel = self._link[0].channel if self._link else None
        return isinstance(channel, asyncssh.SSHClientChannel) and channel.get_exit_status() == _NOT_FOUND


class _Client(asyncssh.SSHClient):
    """Offers the keys that OpenSSH would offer, once this host's own has not been taken."""

    def __init__(
        self, read_usual: Callable[[], asyncssh.SSHClientConnectionOptions], on_answer: Callable[[], None]
    ) -> None:
        self._read_usual = read_usual
        self._on_answer = on_answer
        self._asked = False
        self._agent: asyncssh.SSHAgentClient | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:  # noqa: ARG002 (asyncssh's signature)
        self._on_answer()

    async def public_key_auth_requested(self) -> "KeyPairListArg | None":
        if self._asked:
            return None
        self._asked = True
        usual = self._read_usual()
        keys: list[asyncssh.SSHKeyPair] = list(usual.client_keys or ())
        if usual.agent_path:
            with suppress(OSError, ValueError, asyncssh.Error):  # no agent of the user's runs
                self._agent = await asyncssh.connect_agent(usual.agent_path)
                keys[:0] = await self._agent.get_keys(usual.agent_identities)
        return keys

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncssh's signature)
        if self._agent is not None:
            self._agent.close()


@asynccontextmanager
async def dialled(alias: str, key: Path, on_answer: Callable[[], None] = lambda: None) -> AsyncIterator[Connection]:
    """Connect to a peer by its alias in ``~/.ssh/config``. Host keys are verified; nothing is ever asked of a person.

    This host's own key is offered first, so that a peer that knows it knows who calls. ``on_answer`` is told when the
    connection stands, and the login begins. Raises Unreachable.
    """
    config = [path for path in (Path.home() / ".ssh" / "config", _DEFAULTS) if path.exists()]
    try:
        read_usual = partial(asyncssh.SSHClientConnectionOptions, config=config, host=alias)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS) as limit:

            def note_answer() -> None:
                limit.reschedule(loop.time() + LOGIN_SECONDS)
                on_answer()

            connection = await asyncssh.connect(
                alias,
                config=config,
                client_factory=lambda: _Client(read_usual, note_answer),
                client_keys=[os.fspath(key)],
                agent_path=None,
                password_auth=False,
                kbdint_auth=False,
                login_timeout=LOGIN_SECONDS,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVE_MISSES,
            )
    except asyncssh.HostKeyNotVerifiable as error:
        reason = f"its host key is not trusted ({error}). Connect once by hand: ssh {alias} true"
        raise HostKeyUnknown(host=alias, reason=reason) from error
    except asyncssh.PermissionDenied as error:
        reason = f"it takes none of our keys ({error.reason}). See that this works: ssh -o BatchMode=yes {alias} true"
        raise KeyNotTaken(host=alias, reason=reason) from error
    except TimeoutError as error:
        reason = f"no answer within {CONNECT_SECONDS} s, or no login within {LOGIN_SECONDS} s"
        raise Unreachable(host=alias, reason=reason) from error
    except (asyncssh.Error, asyncssh.KeyImportError, asyncssh.ConfigParseError, OSError, ValueError) as error:
        raise Unreachable(host=alias, reason=error) from error
    async with connection:
        yield Connection(alias, connection)


class WireSession(SSHServerStreamSession[bytes]):
    """A session that offers our conversation and nothing else: no shell, no command, no other subsystem.

    A key with a forced command gets the conversation if that is ours, and never anything else.
    """

    def __init__(self, handler: "_Handler", forced: str | None) -> None:
        super().__init__(handler)
        self._forced = forced

    def shell_requested(self) -> bool:
        """Refuse."""
        return False

    def exec_requested(self, command: str) -> bool:
        """Allow what the caller's key is forced to, if that is ours."""
        # asyncssh puts a forced command in the place of whatever was asked for.
        return command == self._forced and bool(pinned_name(command))

    def subsystem_requested(self, subsystem: str) -> bool:
        """Allow ours, to a key that isn't forced to anything."""
        return self._forced is None and subsystem == SUBSYSTEM


class _Server(asyncssh.SSHServer):
    def __init__(self, authorized_keys: Path, on_streams: OnStreams, open_connections: OpenConnections) -> None:
        self._authorized_keys = authorized_keys
        self._on_streams = on_streams
        self._open_connections = open_connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._open_connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncssh's signature)
        if self._connection is not None:
            self._open_connections.discard(self._connection)

    def begin_auth(self, username: str) -> "MaybeAwait[bool]":  # noqa: ARG002 (any name will do: the key decides)
        # Read at each login, so that an edit of the file needs no restart.
        if self._connection is not None and self._authorized_keys.exists():
            with suppress(ValueError):  # a file without a key lets nobody in
                self._connection.set_authorized_keys(os.fspath(self._authorized_keys))
        return True

    def session_requested(self) -> WireSession:
        return WireSession(self._converse, self._forced)

    @property
    def _forced(self) -> str | None:
        """The command that the caller's line in ``authorized_keys`` forces."""
        forced = self._connection.get_key_option("command") if self._connection else None
        return None if forced is None else str(forced)

    async def _converse(
        self, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes], _: asyncssh.SSHWriter[bytes]
    ) -> None:
        await self._on_streams(SshReader(reader), SshWriter(writer), pinned_name(self._forced or ""))


@asynccontextmanager
async def listening(address: str, key: Path, authorized_keys: Path, on_streams: OnStreams) -> AsyncIterator[str]:
    """Listen for peers; yields the address listened on, as ``host:port``. Raises BadConfiguration."""
    host, _, port = address.rpartition(":")
    open_connections: OpenConnections = set()
    try:
        acceptor = await asyncssh.listen(
            host.strip("[]"),
            int(port),
            server_factory=lambda: _Server(authorized_keys, on_streams, open_connections),
            server_host_keys=[os.fspath(key)],
            encoding=None,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            login_timeout=LOGIN_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVE_MISSES,
        )
    except (OSError, ValueError, asyncssh.Error) as error:
        raise BadConfiguration(path="[listen] address in config.toml", reason=error) from error
    try:
        yield f"{host}:{acceptor.get_port()}"
    finally:
        acceptor.close()
        # From Python 3.12 on, a listener is closed only when its connections are.
        for connection in tuple(open_connections):
            connection.close()
        await acceptor.wait_closed()
