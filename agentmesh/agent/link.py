"""One link: a conversation that lasts, with a host itself or through another, and how both sides part from it."""

import asyncio
import time
from contextlib import suppress

from agentmesh.agent.log import log
from agentmesh.agent.stream import FrameStream
from agentmesh.core import session as conversation
from agentmesh.core.session import Close, Send, Session
from agentmesh.core.wire import INVITATIONS, Bye, Frame, Ping
from agentmesh.errors import LinkRefused, ProtocolError

HELLO_SECONDS = 10.0
"""How long the first frame of the other side may take."""
IDLE_SECONDS = 60.0
"""How long a link through another host is kept without a frame, by the side that has begun it."""
PART_SECONDS = 10.0
"""How long the other side's bye is awaited."""


class Link:
    """A conversation in which both sides have greeted."""

    def __init__(self, session: Session, stream: FrameStream) -> None:
        if session.peer is None:
            raise ValueError("the peer has not greeted")
        self.host = session.peer.host
        self.via = session.via
        """The host that it goes through; empty for a direct one."""
        self.is_ours = session.begins
        """Whether this side has begun it."""
        self.protocol = session.peer.newest
        self.since = int(time.time())
        self.is_parting = False
        """Nothing more is sent over it."""
        self.has_parted = False
        """The other side has said that it sends nothing more."""
        self.has_ended = False
        """Both sides have said so."""
        self.stream = stream
        self._used = self._heard = time.monotonic()
        self._answer = asyncio.Event()
        self._pinging = asyncio.Lock()
        self.latency: float | None = None
        """Seconds that the other side took to answer when it was last asked."""
        self._reading: asyncio.Timeout | None = None
        self._is_cut = False

    @property
    def can_invite(self) -> bool:
        """Whether the other side follows invitations, relays, answers pings, and parts in peace."""
        return self.protocol >= INVITATIONS

    async def send(self, *frames: Frame) -> None:
        """Send frames together. Raises ProtocolError, OSError when the link is broken, or parted from."""
        self._use()
        await self.stream.send(*frames)

    def answer(self, frame: Frame) -> None:
        """Send a small frame without waiting until it is read. Raises OSError as `send` does."""
        self._use()
        self.stream.answer(frame)

    def _use(self) -> None:
        if self.is_parting:
            raise ConnectionError("this side has said bye")
        self._used = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since the other side was heard."""
        return time.monotonic() - self._heard

    async def ping(self, seconds: float) -> float:
        """Return how many seconds the other side takes to answer. Raises TimeoutError, OSError."""
        async with asyncio.timeout(seconds), self._pinging:  # an answer doesn't say to which ping
            self._answer.clear()
            started = time.monotonic()
            await self.send(Ping())
            await self._answer.wait()
            self.latency = time.monotonic() - started
        return self.latency

    async def check(self, seconds: float) -> None:
        """See that the other side answers within so many seconds; end the link when it doesn't."""
        try:
            await self.ping(seconds)
        except TimeoutError:
            log.warning("link is dead", peer=self.host, silence=f"{self.silence:.1f} s")
            self.cut()
        except OSError:
            pass  # it has ended by itself

    def note_answer(self) -> None:
        """Note that the other side has answered a ping."""
        self._answer.set()

    def cut(self) -> None:
        """End the link from this side, whatever its connection still says."""
        self._is_cut = True
        self._read_at_most(0)

    async def part(self, reason: str, *, awaited: bool) -> None:
        """Send nothing more. With ``awaited``, what the other side has still sent is read, to its own bye."""
        self.is_parting = True
        self._read_at_most(PART_SECONDS)
        with suppress(OSError):
            await self.stream.send(Bye(reason, awaited))

    def note_bye(self) -> None:
        """Note that the other side sends nothing more."""
        self.has_parted = True
        self.has_ended = self.is_parting

    async def read(self) -> Frame | None:
        """Return the next frame, or None at the end; parts from a link through another host that is not used.

        Raises ProtocolError, OSError; a link that was cut is a TimeoutError.
        """
        while not self._is_cut:
            try:
                async with asyncio.timeout(self._patience) as self._reading:
                    frame = await self.stream.read()
            except TimeoutError:
                if self.is_parting:
                    return None
                if self.via and time.monotonic() - self._used >= IDLE_SECONDS:
                    await self.part("nothing was sent for a while", awaited=True)
            else:
                self._used = self._heard = time.monotonic()
                return frame
            finally:
                self._reading = None
        raise TimeoutError("it answers no more")

    @property
    def _patience(self) -> float | None:
        if self.is_parting:
            return PART_SECONDS
        return IDLE_SECONDS if self.via and self.is_ours else None

    def _read_at_most(self, seconds: float) -> None:
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(asyncio.get_running_loop().time() + seconds)


async def greeted(stream: FrameStream, session: Session, seconds: float = HELLO_SECONDS) -> Session:
    """Trade hellos; returns the session that knows its peer. Raises LinkRefused, ProtocolError, OSError."""
    for command in conversation.opening(session):
        match command:
            case Send(own):
                with suppress(ConnectionError):  # it has ended already: what it has said before tells why
                    await stream.send(own)
            case Close(reason):
                raise LinkRefused(reason=reason)
    try:
        async with asyncio.timeout(seconds):
            frame = await stream.read()
    except TimeoutError as error:
        raise ProtocolError(reason=f"no hello within {seconds:g} s") from error
    if frame is None:
        raise ConnectionError("it ended before its hello")
    session, commands = conversation.receive(session, frame)
    for command in commands:
        match command:
            case Send(answer):
                await stream.send(answer)
            case Close(reason):
                raise LinkRefused(reason=reason)
    return session
