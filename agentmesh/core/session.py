"""The conversation with one peer: what its frames mean, as commands for the agent to perform. Pure."""

import msgspec

from agentmesh.core.identity import UNSIGNED, Identity, Seal, Terms, identity, objection
from agentmesh.core.model import HERE, Message, Origin, Receipt, Slice
from agentmesh.core.text import printable
from agentmesh.core.wire import (
    TUNNELS,
    Bye,
    ContactsNews,
    Deliver,
    Frame,
    Held,
    Hello,
    Invite,
    JobAnswer,
    JobFrame,
    JobRequest,
    Ping,
    ReceiptNews,
    Report,
    Reported,
    SliceNews,
    Summary,
    Withdraw,
)

LONGEST_REASON = 300
"""Characters of what a peer says before it goes; it is shown to people."""
CHANNELS = frozenset({"link", "drop", "visit"})
"""What a conversation between two hosts is for."""
RELAY_CHANNELS = frozenset({"relay", "relayed"})
"""What a conversation with a relay is for: from its hellos on, it is a tunnel between the relay's neighbours."""
DIRECT_CHANNELS = RELAY_CHANNELS | {"answer"}
"""What only a conversation is for that goes through no other host: so no relay leads over a relay."""


class Send(msgspec.Struct, frozen=True):
    """Send a frame to the peer."""

    frame: Frame


class Greet(msgspec.Struct, frozen=True):
    """The peer has said who it is, and what the conversation is for."""

    peer: Hello


class Learn(msgspec.Struct, frozen=True):
    """Merge a slice into the registry."""

    slice: Slice
    source: Origin
    """The peer that told of it."""
    seal: Seal = UNSIGNED


class Compare(msgspec.Struct, frozen=True):
    """Send a peer what it lacks."""

    host: str
    summary: Summary


class Chart(msgspec.Struct, frozen=True):
    """Note who has links to whom, as a peer tells, and send it what it lacks."""

    host: str
    news: ContactsNews


class Weigh(msgspec.Struct, frozen=True):
    """Ask a peer for what it holds newer, and send it what it holds older."""

    host: str
    held: Held


class Accept(msgspec.Struct, frozen=True):
    """Store a message for a pane of this host, and deliver it."""

    message: Message
    patience: int
    """Seconds that it may wait for its pane; 0: not at all."""
    origin: Origin = HERE


class TakeBack(msgspec.Struct, frozen=True):
    """Don't deliver a message any more, if that can still be."""

    message: Message
    origin: Origin = HERE


class Record(msgspec.Struct, frozen=True):
    """Note how far a message of ours got."""

    receipt: Receipt


class Handle(msgspec.Struct, frozen=True):
    """Do what a peer asks or tells about a job."""

    frame: JobFrame
    origin: Origin


class Visit(msgspec.Struct, frozen=True):
    """Open a conversation on the connection to the peer, and begin it with its ticket."""

    host: str
    ticket: str


class Answered(msgspec.Struct, frozen=True):
    """The peer has answered a ping."""


class Part(msgspec.Struct, frozen=True):
    """Send nothing more in the conversation but a bye: the peer sends nothing more, and awaits it."""


class Close(msgspec.Struct, frozen=True):
    """End the conversation, and say why."""

    reason: str


Gossip = Learn | Compare | Chart | Weigh
"""What concerns the registry."""
Mail = Accept | TakeBack | Record
"""What concerns a message."""
Command = Send | Greet | Gossip | Mail | Handle | Visit | Answered | Part | Close


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Where the conversation with one peer stands."""

    own: Hello
    begins: bool = False
    """Whether this side has begun it: it speaks first, and says what it is for."""
    expected: str | None = None
    """The alias that was dialled, or that a relay has named; None when the peer called."""
    via: str = ""
    """The host that the conversation goes through; such a one is for messages and files, not for the registry."""
    peer: Hello | None = None
    terms: Terms = Terms()
    """Over another host, they tell whose key the other end has proven to have."""

    @property
    def origin(self) -> Origin:
        """Where what the peer sends comes from."""
        return Origin(self.peer.host, self._identity, self.via) if self.peer else HERE

    @property
    def objection(self) -> str:
        """Why the peer is refused, and what to do; empty when it isn't."""
        if self.peer is None or self._identity is Identity.HOST_KEY:
            return ""
        return objection(self.peer.host, self.terms, self.via)

    @property
    def _identity(self) -> Identity:
        return identity(self.terms, dialled=self.expected is not None, via=self.via)


def opening(session: Session) -> list[Command]:
    """Return what is done first on a new conversation."""
    if not session.begins:
        return []
    if session.via and (reason := objection(session.expected or "", session.terms, session.via)):
        return [Close(reason)]
    return [Send(session.own)]


def receive(session: Session, frame: Frame) -> tuple[Session, list[Command]]:
    """Return the conversation after a frame of the peer, and what is to be done about it."""
    if session.peer is None:
        return _greeted(session, frame)
    host = session.peer.host
    match frame:
        case SliceNews() | Summary() | ContactsNews() | Held():
            return session, [] if session.via else [_of_the_registry(session, host, frame)]
        case Deliver(message, patience):
            return session, [Accept(message, patience, session.origin)]
        case Withdraw(message):
            return session, [TakeBack(message, session.origin)]
        case ReceiptNews(receipt) if receipt.host == host:
            return session, [Record(msgspec.structs.replace(receipt, via=session.via))]
        case JobRequest() | JobAnswer() | Report() | Reported():
            return session, [Handle(frame, session.origin)]
        case Invite() if session.via:
            return session, []
        case _:
            return session, _of_the_conversation(host, frame)


def _of_the_registry(session: Session, host: str, frame: SliceNews | Summary | ContactsNews | Held) -> Gossip:
    """Return what is to be done about news of slices and links."""
    match frame:
        case SliceNews(news, seal):
            return Learn(news, session.origin, seal)
        case Summary() as summary:
            return Compare(host, summary)
        case ContactsNews() as contacts:
            return Chart(host, contacts)
        case Held() as held:
            return Weigh(host, held)


def _of_the_conversation(host: str, frame: Frame) -> list[Command]:
    """Return what is to be done about a frame that concerns the conversation itself, or that has no place in it."""
    match frame:
        case Invite(ticket):
            return [Visit(host, ticket)]
        case Ping(is_answer):
            return [Answered() if is_answer else Send(Ping(is_answer=True))]
        case Bye(reason, awaited):
            return [Part() if awaited else Close(f"{host} said: {printable(reason)[:LONGEST_REASON]}")]
        case Hello():
            return [Close("a second hello")]
        case _:
            return []


def _greeted(session: Session, frame: Frame) -> tuple[Session, list[Command]]:
    own = session.own
    if isinstance(frame, Bye) and session.begins:
        return session, [Close(f"{session.expected} said: {printable(frame.reason)[:LONGEST_REASON]}")]
    if not isinstance(frame, Hello):
        return session, [Close("the first frame was no hello")]
    if obstacle := _obstacle(session, frame):
        return session, [Close(obstacle)]
    greeted = msgspec.structs.replace(session, peer=frame)
    if greeted.objection:
        return session, [Close(greeted.objection)]
    if session.begins:
        return greeted, [Greet(frame)]
    if frame.channel in CHANNELS:
        return greeted, [Send(own), Greet(frame)]
    if frame.channel in DIRECT_CHANNELS and not session.via:
        return greeted, [Greet(frame)]
    return session, [Close(f"a conversation for {frame.channel} is not held here")]


def _obstacle(session: Session, hello: Hello) -> str:
    """Return why there can be no conversation with who says this hello, be it true; empty when there can."""
    own = session.own
    if hello.newest < own.oldest or hello.oldest > own.newest:
        spoken = f"{hello.oldest} to {hello.newest}"
        return f"no common protocol: it speaks {spoken}, this host {own.oldest} to {own.newest}"
    if (own if session.begins else hello).channel in RELAY_CHANNELS and hello.newest < TUNNELS:
        return f"{hello.host}'s agentmesh is too old for conversations over another host; upgrade it there"
    if hello.host == own.host:
        return f"it calls itself {hello.host}, as this host does; change one of the self.conf files"
    if session.expected not in {None, hello.host}:
        return f"{session.expected} calls itself {hello.host}; its self.conf and peers.conf here differ"
    return ""
