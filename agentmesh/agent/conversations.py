"""Conversations with other hosts: what each is for, and what core's session decides about its frames, performed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol, assert_never

import msgspec

from agentmesh.adapters import tunnel
from agentmesh.agent import relay
from agentmesh.agent.callers import Callers
from agentmesh.agent.identities import Conversation, Identities
from agentmesh.agent.link import Link, greeted
from agentmesh.agent.log import log
from agentmesh.agent.openings import Openings
from agentmesh.agent.stream import FrameStream
from agentmesh.agent.tasks import Tasks
from agentmesh.agent.tunnels import first_bytes, tunnelled
from agentmesh.agent.ways import Ways
from agentmesh.core import session as conversation
from agentmesh.core.model import Message, Origin, Receipt
from agentmesh.core.session import (
    Accept,
    Answered,
    Chart,
    Close,
    Command,
    Compare,
    Gossip,
    Greet,
    Handle,
    Learn,
    Mail,
    Part,
    Record,
    Send,
    Session,
    TakeBack,
    Visit,
    Weigh,
)
from agentmesh.core.wire import Bye, Frame, Hello, JobFrame, ReceiptNews
from agentmesh.errors import AgentmeshError, LinkRefused, ProtocolError, Unreachable

BYE_SECONDS = 1.0
"""How long the other side may take to hear why a conversation ends."""


class Mailroom(Protocol):
    """Who handles messages and files: the postman and the drops behind it."""

    async def accept(self, message: Message, patience: int, reply: "Reply", origin: Origin) -> None:
        """Take in a message of a peer, deliver it, and reply with its receipts.

        Returns when it has ended, or may wait.
        """

    async def take_back(self, message: Message, reply: "Reply", origin: Origin) -> None:
        """End a peer's message that nothing has been typed of, and reply with its receipt."""

    async def record(self, receipt: Receipt) -> None:
        """Note what a peer says of a message of this host."""

    def link_lost(self, host: str) -> None:
        """Learn that a link to a host has ended, and with it what was on its way."""

    async def take_drop(self, stream: FrameStream) -> None:
        """Receive a file on a conversation of its own."""


class Errands(Protocol):
    """Who handles what is said of jobs."""

    async def handle(self, frame: JobFrame, origin: Origin) -> None:
        """Do what a peer asks or tells about a job, and answer it. Returns when that is done, or may wait."""

    def link_lost(self, host: str) -> None:
        """Learn that a link to a host has ended, and with it what was on its way."""


class Reply(Protocol):
    """The way back to the peer that sent a message."""

    def __call__(self, receipt: Receipt) -> None:
        """Send a receipt, without waiting until it is read."""


SendFrame = Callable[[str, Frame], Awaitable[None]]
"""Sends a frame to a host, by the best way there is. Raises Unreachable."""


class Conversations:
    """Holds every conversation of this host to its end."""

    def __init__(
        self,
        alias: str,
        ways: Ways,
        mailroom: Mailroom,
        errands: Errands,
        tasks: Tasks,
        identities: Identities,
        send: SendFrame,
    ) -> None:
        self._alias = alias
        self._identities = identities
        self._ways = ways
        self._mailroom = mailroom
        self._errands = errands
        self._tasks = tasks
        self._send = send
        self._callers = Callers()
        self.openings = Openings(ways.send_directly)
        self.members: Collection[str] = ()
        """The hosts of peers.conf: this host relays between them alone."""

    def begun(self, host: str, channel: str = "link") -> Session:
        """Return a conversation that this side begins with a host."""
        return Session(own=self.hello(channel), begins=True, expected=host, terms=self._identities.terms())

    @asynccontextmanager
    async def begun_over(
        self, carrier: FrameStream, relay: str, host: str, channel: str
    ) -> AsyncIterator[tuple[FrameStream, Session]]:
        """Begin a conversation with a host that a relay has opened the way to. Raises OSError."""
        begin = partial(tunnel.begun, self._identities.key.path)
        async with tunnelled(carrier, begin) as (stream, key):
            terms = self._identities.terms_over_relay(host, key)
            yield stream, Session(own=self.hello(channel), begins=True, expected=host, via=relay, terms=terms)

    @asynccontextmanager
    async def held(self, stream: FrameStream, session: Session) -> AsyncIterator[None]:
        """Hold a conversation that this side has begun, unless a key was revoked meanwhile, and until then.

        The other side is told why it ends. Raises LinkRefused.
        """
        with self._identities.conversation() as held:
            held.greet(session)
            async with _telling_why(stream):
                self._identities.check(held)
                yield

    def hello(self, channel: str = "link", *, ticket: str = "", to: str = "", origin: str = "") -> Hello:
        """Return what this side says first."""
        own = self._identities.hello(channel)
        return msgspec.structs.replace(own, ticket=ticket, to=to, origin=origin)

    async def serve(self, stream: FrameStream, *, expected: str | None = None, pinned: str = "") -> None:
        """Hold a conversation that another host has begun, which was dialled as is expected, if it was.

        ``pinned`` is the name that the caller's key is pinned to, if it has called with such a key.
        Raises LinkRefused, ProtocolError, OSError.
        """
        async with _telling_why(stream):
            with self._callers.calling(), self._identities.conversation(pinned) as held:
                await self._serve(stream, Session(own=self.hello(), expected=expected, terms=held.terms), held)

    async def hold(self, stream: FrameStream, session: Session) -> Link:
        """Hold a link that this side has begun; returns it at its end. Raises LinkRefused, ProtocolError, OSError."""
        link = Link(session, stream)
        self._ways.add(link)
        await self._keep_begun(link, session)
        return link

    def start_link(self, stream: FrameStream, session: Session) -> None:
        """Use a link that this side has begun, and hold it to its end in the background."""
        link = Link(session, stream)
        self._ways.add(link)

        async def keep() -> None:
            try:
                await self._keep_begun(link, session)
            except (AgentmeshError, OSError) as error:
                log.warning("conversation ended", reason=error)
            finally:
                stream.close()

        self._tasks.start_supervised(f"link to {link.host}", keep())

    async def _serve(self, stream: FrameStream, session: Session, held: Conversation) -> None:
        session = await greeted(stream, session)
        held.greet(session)
        self._identities.check(held)
        hello = session.peer
        if hello is None:
            raise ProtocolError(reason="there was no hello")
        with self._callers.named(hello.host):
            await self._serve_for(stream, session, hello, held)

    async def _serve_for(self, stream: FrameStream, session: Session, hello: Hello, held: Conversation) -> None:
        """Serve a conversation for what it is begun for."""
        match hello.channel:
            case "drop":
                await self._mailroom.take_drop(stream)
            case "answer":
                self.openings.arrived(hello, stream)
                await stream.closed.wait()
            case "relay":
                await self._relay(stream, hello)
            case "relayed":
                await self._serve_over_relay(stream, hello, held)
            case "visit":
                pass
            case _:
                link = Link(session, stream)
                self._ways.add(link)
                await self._keep(link, session)

    async def _serve_over_relay(self, carrier: FrameStream, hello: Hello, held: Conversation) -> None:
        """Serve a conversation that another host has begun behind the one that has said hello."""
        self._check_members(hello.host, hello.origin)
        await carrier.send(self.hello())
        answer = partial(tunnel.answered, self._identities.key.path)
        heard = await first_bytes(carrier)
        with self._callers.calling(tunnel.DESCRIPTORS):
            async with tunnelled(carrier, answer, heard) as (stream, key), _telling_why(stream):
                terms = self._identities.terms_over_relay(hello.origin, key)
                session = Session(own=self.hello(), expected=hello.origin, via=hello.host, terms=terms)
                await self._serve(stream, session, held)

    async def _relay(self, stream: FrameStream, hello: Hello) -> None:
        """Be the way between a host and another that there is a direct link to."""
        self._check_members(hello.host, hello.to)
        if not self._ways.has_link(hello.to):
            raise LinkRefused(reason=f"{self._alias} has no link to {hello.to}")
        try:
            onward = await self.openings.open(hello.to)
        except Unreachable as error:
            raise LinkRefused(reason=str(error)) from error
        try:
            await relay.go_on(onward, self.hello("relayed", origin=hello.host), hello.to)
            await stream.send(self.hello())
            log.info("relay begins", peer=hello.host, to=hello.to)
            await relay.join(stream, onward)
        finally:
            onward.close()

    def _check_members(self, *hosts: str) -> None:
        for host in hosts:
            if host not in self.members:
                raise LinkRefused(reason=f"{host} isn't in {self._alias}'s peers.conf; only its hosts are relayed")

    async def _keep_begun(self, link: Link, session: Session) -> None:
        async with self.held(link.stream, session):
            await self._keep(link, session)

    async def _keep(self, link: Link, session: Session) -> None:
        """Do what the frames of a link ask for, to its end, and part from the links that it makes superfluous."""
        try:
            for spare in self._ways.spare(link.host):
                self._ways.remove(spare, lost=False)
                await spare.part("one link is enough: the one that the lower alias has dialled", awaited=True)
            while not link.has_ended and (frame := await link.read()) is not None:
                session, commands = conversation.receive(session, frame)
                for command in commands:
                    await self._perform(command, link)
        finally:
            self._ways.remove(link, lost=not link.has_parted)

    async def _perform(self, command: Command, link: Link) -> None:
        match command:
            case Learn() | Compare() | Chart() | Weigh():
                await self._gossip(command)
            case Accept() | TakeBack() | Record():
                await self._handle_mail(command, link)
            case Handle(frame, origin):
                await self._work("a job", partial(self._errands.handle, frame, origin), link)
            case Send(frame):
                with suppress(ConnectionError):
                    await link.send(frame)
            case Visit(host, ticket):
                self._tasks.start_supervised(f"visit {host}", self._visit(host, ticket))
            case Answered():
                link.note_answer()
            case Greet():
                raise ProtocolError(reason="a hello in the middle")
            case Part() | Close():
                await self._take_leave(command, link)
            case _:
                assert_never(command)

    async def _gossip(self, command: Gossip) -> None:
        match command:
            case Learn(part, source, seal):
                await self._ways.gossip.learn(part, source, seal)
            case Compare(host, summary):
                self._ways.gossip.compare(host, summary)
                self._ways.look_again()
            case Chart(host, news):
                self._ways.gossip.chart(host, news)
                self._ways.look_again()
            case Weigh(host, held):
                self._ways.gossip.weigh(host, held)

    async def _handle_mail(self, command: Mail, link: Link) -> None:
        match command:
            case Accept(message, patience, origin):
                accept = partial(self._mailroom.accept, message, patience, self._reply(link), origin)
                await self._work(f"message {message.id}", accept, link)
            case TakeBack(message, origin):
                take_back = partial(self._mailroom.take_back, message, self._reply(link), origin)
                await self._work(f"withdraw {message.id}", take_back, link)
            case Record(receipt):
                await self._mailroom.record(receipt)

    async def _work(self, name: str, work: Callable[[], Coroutine[Any, Any, None]], link: Link) -> None:
        """Work on a message, beside others of the link, as soon as there is room for it."""
        await link.stream.work.acquire()
        task = self._tasks.start_supervised(name, work())
        task.add_done_callback(lambda _: link.stream.work.release())

    async def _take_leave(self, command: Part | Close, link: Link) -> None:
        """Use a link no more; what came over it is answered over others. Raises LinkRefused when it is broken off."""
        match command:
            case Close(reason) if not link.is_parting:
                raise LinkRefused(reason=reason)
            case _:
                link.note_bye()
                self._ways.remove(link, lost=False)
                if not link.is_parting:
                    await link.part("it is left", awaited=False)

    async def _visit(self, host: str, ticket: str) -> None:
        """Begin a conversation for a host that can't begin one itself."""
        try:
            stream = await self.openings.open_on_connection(host)
            try:
                await stream.send(self.hello("answer", ticket=ticket))
                await self.serve(stream, expected=host)
            finally:
                stream.close()
        except (AgentmeshError, OSError) as error:
            log.warning("conversation ended", peer=host, reason=error)

    def _reply(self, link: Link) -> Reply:
        def reply(receipt: Receipt) -> None:
            try:
                link.answer(ReceiptNews(receipt))
            except OSError:
                self._tasks.start_supervised(f"receipt {receipt.id}", self._send_receipt(link.host, receipt))

        return reply

    async def _send_receipt(self, host: str, receipt: Receipt) -> None:
        """Send a receipt by any other way."""
        try:
            await self._send(host, ReceiptNews(receipt))
        except Unreachable:
            log.info("receipt not sent: the link is gone", message=receipt.id)


@asynccontextmanager
async def _telling_why(stream: FrameStream) -> AsyncIterator[None]:
    """Tell the other side why a conversation is refused or ended."""
    try:
        yield
    except (LinkRefused, ProtocolError) as error:
        with suppress(OSError):  # among them a TimeoutError
            async with asyncio.timeout(BYE_SECONDS):
                await stream.send(Bye(str(error.facts["reason"])))
        raise
