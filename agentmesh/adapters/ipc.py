r"""The agent's Unix socket, both ends, for commands of this host.

A command opens a connection and writes one request: ``AMC1``, a 4-byte big-endian length, and strings separated by
NUL: the working folder, environment entries ``NAME=value``, an empty string, and the words of the command; an entry
``COLUMNS`` is there when its standard error is a terminal, and tells how wide that is. The agent answers with parts,
each a 1-byte kind and a 4-byte length before its bytes: ``o`` for standard output, ``e`` for standard error, ``i`` to
ask for standard input (answered by a 4-byte length and the bytes; fewer than asked for are the last), and ``x``, the
exit code as text, at the end. `agentmesh.notify` speaks the same without importing this.

A connection that begins with ``AMP1``, a 1-byte length and a name is another agent's, through ``agentmesh wire``: the
name is the host that its key is pinned to, and empty for a key that may log in; or at once with what core/PROTOCOL.md
describes.
"""

import asyncio
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from agentmesh.errors import AgentmeshError, NoAgent, ProtocolError, Unreachable

MAGIC = b"AMC1"
PEER_MAGIC = b"AMP1"
LARGEST_REQUEST = 4 * 1024 * 1024
"""Bytes; the longest argument list that Linux takes is near it."""
BEGIN_SECONDS = 10.0
"""How long a connection may take to say whose it is."""
LAST_WORDS_SECONDS = 0.5
"""How long commands may take to hear their answer when the agent stops."""
READ_AHEAD = 1024 * 1024
"""Bytes that are read before they are asked for: about what a drop needs to flow."""
_LENGTH = 4
_CREDENTIALS = struct.Struct("3i")  # unix(7): pid, uid, gid
_LOCAL_PEERPID = 2  # macOS, sys/un.h


class Request(msgspec.Struct, frozen=True):
    """What a command of this host asks for."""

    folder: Path
    environment: dict[str, str]
    words: list[str]
    pid: int
    """The process that asks, by the kernel's word; 0 where it can't be told."""


class Answer:
    """The way back to the command: its standard streams and its exit code."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write_output(self, text: str) -> None:
        """Write to the command's standard output."""
        await self._part(b"o", text.encode())

    async def write_error(self, text: str) -> None:
        """Write to the command's standard error."""
        await self._part(b"e", text.encode())

    async def read_input(self, largest: int) -> bytes:
        """Return the command's standard input, or its first ``largest`` bytes and one more."""
        await self._part(b"i", str(largest + 1).encode())
        length = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
        if length > largest + 1:
            raise ProtocolError(reason="a command sent more input than was asked for")
        return await self._reader.readexactly(length)

    async def gone(self) -> None:
        """Wait until the command has ended, or was interrupted."""
        await self._reader.read(1)

    async def exit(self, code: int) -> None:
        """End the command."""
        await self._part(b"x", str(code).encode())

    async def _part(self, kind: bytes, data: bytes) -> None:
        self._writer.write(kind + len(data).to_bytes(_LENGTH, "big") + data)
        await self._writer.drain()


OnRequest = Callable[[Request, Answer], Awaitable[None]]
OnPeer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes, str], Awaitable[None]]
"""Holds a conversation; is told what was read of it already, and the name that the caller's key is pinned to."""


async def converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_request: OnRequest, on_peer: OnPeer
) -> None:
    """Serve one connection: a command's, or, with the bytes already read from it, another agent's."""
    try:
        async with asyncio.timeout(BEGIN_SECONDS):
            begin = await reader.readexactly(len(MAGIC))
        if begin == MAGIC:
            request = await _read_request(reader, _peer_pid(writer))
            await on_request(request, Answer(reader, writer))
        elif begin == PEER_MAGIC:
            (length,) = await reader.readexactly(1)
            await on_peer(reader, writer, b"", (await reader.readexactly(length)).decode("ascii", "replace"))
        else:
            await on_peer(reader, writer, begin, "")
    except (asyncio.IncompleteReadError, ConnectionError, ProtocolError, TimeoutError):
        pass  # the command went away, or was none of ours; what it began is on disk
    finally:
        writer.close()


@asynccontextmanager
async def listening(path: Path, on_request: OnRequest, on_peer: OnPeer) -> AsyncIterator[None]:
    """Listen on the socket, in place of one that a dead agent has left; only this user can connect."""
    conversations: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.ensure_future(converse(reader, writer, on_request, on_peer))
        conversations.add(conversation)
        conversation.add_done_callback(conversations.discard)

    path.unlink(missing_ok=True)  # noqa: ASYNC240 (a name in memory)
    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(begin, path, limit=READ_AHEAD)
    finally:
        os.umask(before)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 (as above)
        server.close()
        if conversations:
            _, rest = await asyncio.wait(conversations, timeout=LAST_WORDS_SECONDS)
            for conversation in rest:
                conversation.cancel()
            await asyncio.gather(*rest, return_exceptions=True)


async def perform(path: Path, *words: str, take: Callable[[bytes], object] | None = None) -> tuple[int, bytes, bytes]:
    """Have the agent do a command that needs no input; returns its exit code, standard output and standard error.

    ``take`` is handed each part of standard output as it comes, which then isn't returned. Raises NoAgent, Unreachable.
    """
    reader, writer = await connect(path)
    try:
        environment = [f"{name}={os.environ[name]}" for name in SHARED_ENVIRONMENT if name in os.environ]
        body = "\0".join([os.getcwd(), *environment, "", *words]).encode(errors="surrogateescape")  # noqa: PTH109 (as text)
        writer.write(MAGIC + len(body).to_bytes(_LENGTH, "big") + body)
        output, error = b"", b""
        while True:
            kind = await reader.readexactly(1)
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(_LENGTH), "big"))
            match kind:
                case b"o" if take:
                    take(data)
                case b"o":
                    output += data
                case b"e":
                    error += data
                case b"x":
                    return int(data), output, error
                case _:
                    raise ProtocolError(reason=f"the agent sent a part of kind {kind!r}")
    except (asyncio.IncompleteReadError, ConnectionError) as error_met:
        raise Unreachable(host="the agent", reason="it went away before it answered") from error_met
    finally:
        writer.close()


async def ask(path: Path, *words: str, take: Callable[[bytes], object] | None = None) -> bytes:
    """Return what the agent puts out for a command that needs no input, or hand it over as it comes.

    Raises NoAgent, or Refused, which carries the agent's own words and exit code.
    """
    code, output, error = await perform(path, *words, take=take)
    if code:
        raise Refused(code, text=error.decode().rstrip())
    return output


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the agent. Raises NoAgent when none listens there."""
    try:
        return await asyncio.open_unix_connection(path)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoAgent from error


SHARED_ENVIRONMENT = ("AGENT_NAME", "AGENT_ROLE", "AGENT_SCOPE", "FORCE_SEND", "SKIP_DISMISS", "TMUX_PANE")
"""The variables of the caller's that the agent is told."""


class Refused(AgentmeshError):
    """{text}"""  # noqa: D400, D415 (the agent's own sentence)

    def __init__(self, exit_code: int, text: str) -> None:
        super().__init__(text=text)
        self.exit_code = exit_code  # type: ignore[misc]


async def _read_request(reader: asyncio.StreamReader, pid: int) -> Request:
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    if length > LARGEST_REQUEST:
        raise ProtocolError(reason=f"a request claims {length:,} bytes")
    body = await reader.readexactly(length)
    folder, *parts = body.decode(errors="surrogateescape").split("\0")
    if "" not in parts:
        raise ProtocolError(reason="a request has no words")
    middle = parts.index("")
    environment = dict(entry.split("=", 1) for entry in parts[:middle] if "=" in entry)
    return Request(Path(folder), environment, parts[middle + 1 :], pid)


def _peer_pid(writer: asyncio.StreamWriter) -> int:
    connection = writer.get_extra_info("socket")
    try:
        if sys.platform == "linux":
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            return int(_CREDENTIALS.unpack(raw)[0])
        return int.from_bytes(connection.getsockopt(0, _LOCAL_PEERPID, 4), sys.byteorder)
    except OSError:
        return 0
