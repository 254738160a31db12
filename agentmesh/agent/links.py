"""Links to peers: dial each, serve those who call, and perform what core's session decides about their frames."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol, assert_never

import msgspec

from agentmesh import __version__
from agentmesh.adapters import ssh
from agentmesh.agent.callers import Callers
from agentmesh.agent.gossip import Gossip
from agentmesh.agent.log import log
from agentmesh.agent.replication import Replica
from agentmesh.agent.stream import FrameStream, Reader, Writer
from agentmesh.agent.tasks import Tasks, supervised
from agentmesh.core import session as conversation
from agentmesh.core.model import Message, Receipt
from agentmesh.core.session import Accept, Close, Command, Compare, Greet, Learn, Record, Send, Session, TakeBack
from agentmesh.core.wire import Bye, Frame, Hello, ReceiptNews
from agentmesh.errors import AgentmeshError, LinkRefused, ProtocolError, Unreachable

HELLO_SECONDS = 10.0
FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 60.0


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a peer stands."""

    host: str
    state: str
    """``connecting``, ``up`` or ``down``."""
    since: int
    """Unix seconds."""
    reason: str = ""
    """Why it is down."""


class Mailroom(Protocol):
    """Who handles messages and files: the postman and the drops behind it."""

    async def accept(self, message: Message, patience: int, reply: "Reply") -> None:
        """Take in a message of a peer, deliver it, and reply with its receipts.

        Returns when it has ended, or may wait.
        """

    async def take_back(self, message: Message, reply: "Reply") -> None:
        """End a peer's message that nothing has been typed of, and reply with its receipt."""

    async def record(self, receipt: Receipt) -> None:
        """Note what a peer says of a message of this host."""

    def link_lost(self, host: str) -> None:
        """Learn that a link to a host has ended, and with it what was on its way."""

    async def take_drop(self, stream: FrameStream) -> None:
        """Receive a file on a conversation of its own."""


class Reply(Protocol):
    """The way back to the peer that sent a message."""

    def __call__(self, receipt: Receipt) -> None:
        """Send a receipt, without waiting until it is read."""


class _Peer:
    """A host of peers.conf, and what is known of the way to it."""

    def __init__(self, alias: str) -> None:
        self.status = PeerStatus(host=alias, state="down", since=int(time.time()), reason="not dialled yet")
        self.wanted = asyncio.Event()
        self.changed = asyncio.Condition()
        self.failures = 0


class Links:
    """All conversations of this host with its peers."""

    def __init__(self, alias: str, replica: Replica, mailroom: Mailroom, tasks: Tasks) -> None:
        self._alias = alias
        self._mailroom = mailroom
        self._tasks = tasks
        self._peers: dict[str, _Peer] = {}
        self._dialling: dict[str, asyncio.Task[None]] = {}
        self._connections: dict[str, ssh.Connection] = {}
        self._streams: dict[str, list[FrameStream]] = {}
        self._linked = asyncio.Condition()
        self._callers = Callers()
        self.gossip = Gossip(alias, replica, tasks, self._send_over_link)

    @property
    def statuses(self) -> list[PeerStatus]:
        """How each peer of peers.conf stands."""
        return [
            msgspec.structs.replace(peer.status, state="up", reason="") if self.has_link(alias) else peer.status
            for alias, peer in self._peers.items()
        ]

    def set_peers(self, aliases: list[str]) -> None:
        """Know these peers; leave those that are gone."""
        for alias in self._peers.keys() - set(aliases):
            del self._peers[alias]
            if task := self._dialling.pop(alias, None):
                task.cancel()
        for alias in aliases:
            if alias != self._alias and alias not in self._peers:
                self._peers[alias] = _Peer(alias)

    def dial(self, *aliases: str) -> None:
        """Keep links to these peers, at once where one is down."""
        for alias in aliases or tuple(self._peers):
            peer = self._peers[alias]
            peer.wanted.set()
            if alias not in self._dialling:
                task = self._tasks.start(f"dial {alias}", self._keep_dialling(alias, peer))
                self._dialling[alias] = task

    def has_link(self, host: str) -> bool:
        """Tell whether frames can be sent to a host now."""
        return bool(self._streams.get(host))

    async def reach(self, host: str) -> None:
        """Have a link to a host, dialling it if need be. Raises Unreachable."""
        await self._reach(host, lambda: self.has_link(host))

    async def wait_for_link(self, host: str) -> None:
        """Wait until there is a link to a host, whoever dials."""
        async with self._linked:
            await self._linked.wait_for(lambda: self.has_link(host))

    async def send(self, host: str, frame: Frame) -> None:
        """Send a frame to a host, dialling it if need be. Raises Unreachable."""
        await self.reach(host)
        await self._send_over_link(host, frame)

    async def _send_over_link(self, host: str, frame: Frame) -> None:
        """Send a frame over the newest link: of an older one the end may not be known yet. Raises Unreachable."""
        for stream in reversed(self._streams.get(host, []).copy()):
            try:
                await stream.send(frame)
            except OSError:
                continue
            return
        raise Unreachable(host=host, reason="the link broke just now")

    def sync(self) -> None:
        """Dial every peer that is down, and trade summaries with the others."""
        self.dial()
        self.gossip.summarise()

    @asynccontextmanager
    async def drop_conversation(self, host: str) -> AsyncIterator[FrameStream]:
        """Open a second conversation on the link to a host, for one file. Raises Unreachable."""
        await self._reach(host, lambda: host in self._connections)
        stream = FrameStream(*await self._connections[host].open_conversation())
        try:
            await stream.send(self._hello("drop"))
            greeting = await _first(stream)
            if greeting is None:
                raise Unreachable(host=host, reason="the link ended before the transfer began")
            if not isinstance(greeting, Hello):
                raise ProtocolError(reason="the first frame was no hello")
            yield stream
        except OSError as error:
            raise Unreachable(host=host, reason="the link broke during the transfer") from error
        finally:
            stream.close()

    async def serve(self, reader: Reader, writer: Writer, begun: bytes = b"") -> None:
        """Hold the conversation with a peer that has called."""
        stream = FrameStream(reader, writer, begun)
        with supervised("conversation failed"):
            try:
                await self._converse(stream, expected=None)
            except (AgentmeshError, OSError) as error:
                log.warning("conversation ended", reason=error)
            finally:
                stream.close()

    def _hello(self, channel: str = "link") -> Hello:
        return Hello(host=self._alias, version=__version__, channel=channel)

    async def _reach(self, host: str, is_reached: Callable[[], bool]) -> None:
        """Dial a host until it is reached as is wanted. Raises Unreachable when dialling fails."""
        if is_reached():
            return
        peer = self._peers.get(host)
        if peer is None:
            raise Unreachable(host=host, reason="it isn't in peers.conf, and hasn't dialled us")
        failures = peer.failures
        self.dial(host)
        async with peer.changed:
            await peer.changed.wait_for(lambda: is_reached() or peer.failures > failures)
        if not is_reached():
            raise Unreachable(host=host, reason=peer.status.reason)

    async def _keep_dialling(self, alias: str, peer: _Peer) -> None:
        attempt = 0
        while True:
            peer.wanted.clear()
            reason = await self._dial_once(alias, peer)
            attempt = 0 if peer.status.state == "up" else attempt + 1
            await self._set_status(peer, "down", reason)
            longest = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**attempt)
            try:
                async with asyncio.timeout(random.uniform(0, longest)):  # noqa: S311 (it spreads load)
                    await peer.wanted.wait()
            except TimeoutError:
                pass

    async def _dial_once(self, alias: str, peer: _Peer) -> str:
        """Hold one link for as long as it lasts; returns why it ended."""
        await self._set_status(peer, "connecting")
        with supervised("dialling failed", peer=alias):
            try:
                async with ssh.dialled(alias) as connection:
                    return await self._hold(alias, connection)
            except Unreachable as error:
                return str(error.facts["reason"])
            except (AgentmeshError, OSError) as error:
                return str(error)
        return "a fault of our own; see the log"

    async def _hold(self, alias: str, connection: ssh.Connection) -> str:
        """Hold the conversation on a connection to its end; returns why it ended."""
        stream = FrameStream(*await connection.open_conversation())
        self._connections[alias] = connection
        try:
            await self._converse(stream, expected=alias)
        finally:
            del self._connections[alias]
            stream.close()
        return await connection.complaint() or "it ended the conversation"

    async def _converse(self, stream: FrameStream, expected: str | None) -> None:
        """Hold a conversation to its end."""
        session = Session(own=self._hello(), expected=expected)
        with ExitStack() as counted:
            try:
                if expected is None:
                    counted.enter_context(self._callers.calling())
                for command in conversation.opening(session):
                    await self._perform(command, stream)
                frame = await _first(stream)
                while frame is not None:
                    session, commands = conversation.receive(session, frame)
                    for command in commands:
                        if isinstance(command, Greet) and expected is None:
                            counted.enter_context(self._callers.named(command.host))
                        if isinstance(command, Greet) and command.channel == "drop":
                            await self._mailroom.take_drop(stream)
                            return
                        await self._perform(command, stream)
                    frame = await stream.read()
            except (LinkRefused, ProtocolError) as error:
                with suppress(OSError):
                    await stream.send(Bye(str(error.facts["reason"])))
                raise
            finally:
                if session.peer is not None:
                    await self._unregister(session.peer.host, stream)

    async def _perform(self, command: Command, stream: FrameStream) -> None:
        match command:
            case Send(frame):
                await stream.send(frame)
            case Greet(host, _, summarises):
                await self._register(host, stream, summarises=summarises)
            case Learn(part, source):
                await self.gossip.learn(part, source)
            case Compare(host, summary):
                self.gossip.compare(host, summary)
            case Accept(message, patience):
                accept = partial(self._mailroom.accept, message, patience, self._reply(stream))
                await self._work(f"message {message.id}", accept, stream)
            case TakeBack(message):
                take_back = partial(self._mailroom.take_back, message, self._reply(stream))
                await self._work(f"withdraw {message.id}", take_back, stream)
            case Record(receipt):
                await self._mailroom.record(receipt)
            case Close(reason):
                raise LinkRefused(reason=reason)
            case _:
                assert_never(command)

    async def _work(self, name: str, work: Callable[[], Coroutine[Any, Any, None]], stream: FrameStream) -> None:
        """Work on a message, beside others of the conversation, as soon as there is room for it."""
        await stream.work.acquire()
        task = self._tasks.start_supervised(name, work())
        task.add_done_callback(lambda _: stream.work.release())

    @staticmethod
    def _reply(stream: FrameStream) -> Reply:
        def reply(receipt: Receipt) -> None:
            try:
                stream.answer(ReceiptNews(receipt))
            except OSError:
                log.info("receipt not sent: the link is gone", message=receipt.id)

        return reply

    async def _register(self, host: str, stream: FrameStream, *, summarises: bool) -> None:
        self._streams.setdefault(host, []).append(stream)
        self.gossip.join(host, summarises=summarises)
        log.info("link is up", peer=host)
        async with self._linked:
            self._linked.notify_all()
        if peer := self._peers.get(host):
            await self._set_status(peer, "up")

    async def _unregister(self, host: str, stream: FrameStream) -> None:
        streams = self._streams.get(host, [])
        if stream not in streams:
            return
        streams.remove(stream)
        log.info("link is down", peer=host)
        self.gossip.part(host, linked=bool(streams))
        self._mailroom.link_lost(host)

    async def _set_status(self, peer: _Peer, state: str, reason: str = "") -> None:
        if state == "down":
            # A link that was up and has ended is no failure to reach the peer: whoever waits has asked since.
            peer.failures += peer.status.state != "up"
            if reason != peer.status.reason:
                log.warning("peer is down", peer=peer.status.host, reason=reason)
        peer.status = PeerStatus(
            host=peer.status.host,
            state=state,
            since=int(time.time()),
            reason=reason if state == "down" else peer.status.reason if state == "connecting" else "",
        )
        async with peer.changed:
            peer.changed.notify_all()


async def _first(stream: FrameStream) -> Frame | None:
    """Return the first frame of the other side, which has to come soon. Raises ProtocolError."""
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            return await stream.read()
    except TimeoutError as error:
        raise ProtocolError(reason=f"no hello within {HELLO_SECONDS:g} s") from error
