"""The conversation with one peer: what its frames mean, as commands for the agent to perform. Pure."""

import msgspec

from agentmesh.core.model import Message, Receipt, Slice
from agentmesh.core.text import printable
from agentmesh.core.wire import SUMMARIES, Bye, Deliver, Frame, Hello, ReceiptNews, SliceNews, Summary, Withdraw

LONGEST_REASON = 300
"""Characters of what a peer says before it goes; it is shown to people."""


class Send(msgspec.Struct, frozen=True):
    """Send a frame to the peer."""

    frame: Frame


class Greet(msgspec.Struct, frozen=True):
    """The peer has said who it is, and what the conversation is for."""

    host: str
    channel: str
    summarises: bool
    """Whether it sends summaries."""


class Learn(msgspec.Struct, frozen=True):
    """Merge a slice into the registry."""

    slice: Slice
    source: str
    """The peer that told of it."""


class Compare(msgspec.Struct, frozen=True):
    """Send a peer what it lacks."""

    host: str
    summary: Summary


class Accept(msgspec.Struct, frozen=True):
    """Store a message for a pane of this host, and deliver it."""

    message: Message
    patience: int
    """Seconds that it may wait for its pane; 0: not at all."""


class TakeBack(msgspec.Struct, frozen=True):
    """Don't deliver a message any more, if that can still be."""

    message: Message


class Record(msgspec.Struct, frozen=True):
    """Note how far a message of ours got."""

    receipt: Receipt


class Close(msgspec.Struct, frozen=True):
    """End the conversation, and say why."""

    reason: str


Command = Send | Greet | Learn | Compare | Accept | TakeBack | Record | Close


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Where the conversation with one peer stands."""

    own: Hello
    expected: str | None = None
    """The alias that was dialled; None when the peer called."""
    peer: Hello | None = None


def opening(session: Session) -> list[Command]:
    """Return what is done first on a new conversation."""
    return [Send(session.own)]


def receive(session: Session, frame: Frame) -> tuple[Session, list[Command]]:
    """Return the conversation after a frame of the peer, and what is to be done about it."""
    if session.peer is None:
        return _greeted(session, frame)
    match frame:
        case SliceNews(news):
            return session, [Learn(news, session.peer.host)]
        case Summary() as summary:
            return session, [Compare(session.peer.host, summary)]
        case Deliver(message, patience):
            return session, [Accept(message, patience)]
        case Withdraw(message):
            return session, [TakeBack(message)]
        case ReceiptNews(receipt) if receipt.host == session.peer.host:
            return session, [Record(receipt)]
        case Bye(reason):
            return session, [Close(f"{session.peer.host} said: {printable(reason)[:LONGEST_REASON]}")]
        case Hello():
            return session, [Close("a second hello")]
        case _:
            return session, []


def _greeted(session: Session, frame: Frame) -> tuple[Session, list[Command]]:
    own = session.own
    if not isinstance(frame, Hello):
        return session, [Close("the first frame was no hello")]
    if frame.newest < own.oldest or frame.oldest > own.newest:
        spoken = f"{frame.oldest} to {frame.newest}"
        return session, [Close(f"no common protocol: it speaks {spoken}, this host {own.oldest} to {own.newest}")]
    if frame.host == own.host:
        return session, [Close(f"it calls itself {frame.host}, as this host does; change one of the self.conf files")]
    if session.expected not in {None, frame.host}:
        return session, [
            Close(f"{session.expected} calls itself {frame.host}; its self.conf and peers.conf here differ")
        ]
    return msgspec.structs.replace(session, peer=frame), [Greet(frame.host, frame.channel, frame.newest >= SUMMARIES)]
