"""What must hold, whatever comes off the wire: frames or a ProtocolError, and of those frames well-formed commands."""

import msgspec

from agentmesh.core.session import Close, Command, Greet, Handle, Send, Session, receive
from agentmesh.core.wire import LARGEST_FRAME, Decoder, Frame, Hello, encode
from agentmesh.errors import ProtocolError

_LENGTH = 4
_CALLED = Session(own=Hello(host="hub", version="1"))
_GREETED = msgspec.structs.replace(_CALLED, peer=Hello(host="worker", version="1"))


def framed(kind: int, body: bytes) -> bytes:
    """Return a frame, whatever its body is."""
    return (len(body) + 1).to_bytes(_LENGTH, "big") + bytes([kind]) + body


def try_decoder(data: bytes) -> None:
    """Feed the decoder what an input makes: the first byte says how it is cut; a body then, or frames as they are.

    The frames are then a conversation: one that begins, and one with a peer that is known already.
    """
    if not data:
        return
    way, rest = data[0], data[1:]
    stream = framed(rest[0], rest[1:]) if way % 2 and rest else rest
    step = len(stream) // (1 + way // 2 % 4) + 1
    decoder = Decoder()
    sessions = [_CALLED, _GREETED]
    try:
        for start in range(0, len(stream), step):
            frames = decoder.feed(stream[start : start + step])
            assert all(isinstance(frame, Frame) for frame in frames), frames
            assert len(decoder.pending) < _LENGTH + LARGEST_FRAME, len(decoder.pending)
            sessions = [converse(session, frames) for session in sessions]
    except ProtocolError as error:  # its sentence must be one that can be written
        str(error).encode()


def converse(session: Session, frames: list[Frame]) -> Session:
    """Have a conversation; see that what is to be done is well-formed. Raises ProtocolError alone."""
    for frame in frames:
        before = session
        session, commands = receive(session, frame)
        for command in commands:
            check(command)
        if any(isinstance(command, Close) for command in commands):
            assert session == before, "what ends a conversation changes nothing in it"
            break
        assert (session.peer is not None) == (before.peer is not None or any(isinstance(c, Greet) for c in commands))
    return session


def check(command: Command) -> None:
    """See that a command holds values of its types alone, and that all of it can be stored and sent."""
    assert isinstance(command, Command), command
    if isinstance(command, Send | Handle):
        assert Decoder().feed(encode(command.frame)) == [command.frame]
    else:
        assert msgspec.json.decode(msgspec.json.encode(command), type=type(command)) == command
    if isinstance(command, Close):
        assert command.reason
