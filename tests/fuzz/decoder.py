"""What must hold of the decoder, whatever comes: frames or a ProtocolError, and never more kept than one frame."""

from agentmesh.core.wire import LARGEST_FRAME, Decoder, Frame
from agentmesh.errors import ProtocolError

_LENGTH = 4


def framed(kind: int, body: bytes) -> bytes:
    """Return a frame, whatever its body is."""
    return (len(body) + 1).to_bytes(_LENGTH, "big") + bytes([kind]) + body


def try_decoder(data: bytes) -> None:
    """Feed the decoder what an input makes: the first byte says how it is cut; a body then, or frames as they are."""
    if not data:
        return
    way, rest = data[0], data[1:]
    stream = framed(rest[0], rest[1:]) if way % 2 and rest else rest
    step = len(stream) // (1 + way // 2 % 4) + 1
    decoder = Decoder()
    try:
        for start in range(0, len(stream), step):
            frames = decoder.feed(stream[start : start + step])
            assert all(isinstance(frame, Frame) for frame in frames), frames
            assert len(decoder.pending) < _LENGTH + LARGEST_FRAME, len(decoder.pending)
    except ProtocolError as error:  # its sentence must be one that can be written
        str(error).encode()
