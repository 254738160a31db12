"""Frames to bytes and back: the language that two agents speak. Pure. PROTOCOL.md beside this file describes it.

A frame is a 4-byte big-endian length (of what follows), a 1-byte kind, and a body: JSON, or raw bytes for a chunk.
"""

from typing import Annotated, ClassVar

import msgspec

from agentmesh.core.chain import Entry
from agentmesh.core.event import Event, JobId
from agentmesh.core.identity import UNSIGNED, Seal
from agentmesh.core.job import Job
from agentmesh.core.model import Contacts, Message, Receipt, Slice, Version
from agentmesh.core.review import Review
from agentmesh.errors import ProtocolError

OLDEST_PROTOCOL = 1
NEWEST_PROTOCOL = 6
SUMMARIES = 2
"""The protocol from which on summaries are sent, and slices relayed."""
INVITATIONS = 3
"""The protocol from which on conversations are invited, and links are pinged and parted from."""
TUNNELS = 4
"""The protocol from which on what a relay carries is an SSH connection between the two ends."""
TREES = 5
"""The protocol from which on news may be left to others to pass on, and it is said what is held of them."""
JOBS = 6
"""The protocol from which on jobs are asked for, and reported on."""
LARGEST_FRAME = 1024 * 1024
"""Bytes of kind and body together."""
MOST_HOSTS = 16_384
"""Hosts that one summary may name; more than any mesh has."""
HostName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")]
"""An alias, as self.conf takes it."""
ShortText = Annotated[str, msgspec.Meta(max_length=255)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""It also names a file: no other characters may come off the wire."""
CHUNK = 256 * 1024
"""Bytes of a file in one frame."""
_LENGTH = 4


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame of each side."""

    KIND: ClassVar[int] = 1
    host: HostName
    version: ShortText
    """The sender's agentmesh version, for people."""
    oldest: Count = OLDEST_PROTOCOL
    newest: Count = NEWEST_PROTOCOL
    channel: ShortText = "link"
    """What the conversation is for, as the side says that begins it: ``link`` for one that lasts, ``drop`` for a file,
    ``visit`` to exchange hellos alone, ``answer`` to an invitation, ``relay`` to reach a host through the receiver,
    ``relayed`` for what it then begins."""
    ticket: ShortText = ""
    """The invitation that an ``answer`` follows."""
    to: ShortText = ""
    """The host that is to be reached by ``relay``."""
    origin: ShortText = ""
    """The host that is reached from by ``relayed``."""
    key: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    """The sender's public key: algorithm and key. It proves nothing by itself."""
    time: float = 0.0
    """Unix seconds by the sender's clock; 0 when it doesn't say."""


class SliceNews(msgspec.Struct, frozen=True):
    """A host's slice, when the receiver lacks it: the sender's own, or one that it has heard of."""

    KIND: ClassVar[int] = 2
    slice: Slice
    seal: Seal = UNSIGNED
    """Empty when nobody signed it. On the wire its bytes are the slice, with ``key`` and ``signature`` beside it."""


class Deliver(msgspec.Struct, frozen=True):
    """A message for a pane of the receiving host. Sent again with the same id, it is answered, not repeated."""

    KIND: ClassVar[int] = 3
    message: Message
    patience: Count = 0
    """Seconds that it may wait for its pane from now on; 0: it is delivered at once or not at all."""


class ReceiptNews(msgspec.Struct, frozen=True):
    """How far a message got: its end, and before that, that it is stored, if the end takes longer."""

    KIND: ClassVar[int] = 4
    receipt: Receipt


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the sender wants to drop."""

    KIND: ClassVar[int] = 5
    sender: str
    name: str
    size: Count
    sha256: Sha256
    """Of the whole content."""


class Ready(msgspec.Struct, frozen=True):
    """The receiver wants the offered file's bytes from an offset on."""

    KIND: ClassVar[int] = 6
    offset: Count


class Chunk(msgspec.Struct, frozen=True):
    """The next bytes of the file. Its body is raw."""

    KIND: ClassVar[int] = 7
    data: bytes


class Dropped(msgspec.Struct, frozen=True):
    """The file is whole, verified and durable under this path, which begins with ``~`` where it is in the home."""

    KIND: ClassVar[int] = 8
    path: str


class Refusal(msgspec.Struct, frozen=True):
    """The receiver does not take the offered file."""

    KIND: ClassVar[int] = 9
    reason: str


class Bye(msgspec.Struct, frozen=True):
    """The sender sends nothing more in the conversation, and why; then it closes it."""

    KIND: ClassVar[int] = 10
    reason: str
    awaited: bool = False
    """Whether it reads on until the receiver's own bye, so that nothing is lost that is on its way."""


class Withdraw(msgspec.Struct, frozen=True):
    """A message that its sender takes back. It is never typed from then on, if it has not been yet."""

    KIND: ClassVar[int] = 11
    message: Message
    """Whole: if it has not come yet, it is known when it does."""


class Summary(msgspec.Struct, frozen=True):
    """What the sender holds and whom it reaches; it is sent what it lacks."""

    KIND: ClassVar[int] = 12
    links: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_HOSTS)] = ()
    """The hosts that it has links to."""
    slices: Annotated[dict[str, Version], msgspec.Meta(max_length=MOST_HOSTS)] | None = None
    """The version of each host's slice; None when the links alone have changed."""


class Invite(msgspec.Struct, frozen=True):
    """The receiver is to open a conversation on the connection that it has dialled, for the sender to use."""

    KIND: ClassVar[int] = 13
    ticket: ShortText
    """Names it in the hello of the ``answer``."""


class Ping(msgspec.Struct, frozen=True):
    """The sender asks whether the link lives, or says that it does."""

    KIND: ClassVar[int] = 14
    is_answer: bool = False


class ContactsNews(msgspec.Struct, frozen=True):
    """Who has links to whom: what the receiver lacks, and what the sender holds, so that it is sent what it lacks."""

    KIND: ClassVar[int] = 15
    contacts: Annotated[tuple[Contacts, ...], msgspec.Meta(max_length=MOST_HOSTS)] = ()
    held: Annotated[dict[str, Version], msgspec.Meta(max_length=MOST_HOSTS)] | None = None
    """The version of each host's list; None when it isn't told."""


class Held(msgspec.Struct, frozen=True):
    """What the sender holds of some hosts. A receiver that holds older news answers so itself, and is sent them."""

    KIND: ClassVar[int] = 16
    slices: Annotated[dict[str, Version], msgspec.Meta(max_length=MOST_HOSTS)] = {}
    """The versions of their slices."""
    contacts: Annotated[dict[str, Version], msgspec.Meta(max_length=MOST_HOSTS)] = {}
    """The versions of their lists of links."""


class JobRequest(msgspec.Struct, frozen=True):
    """The sender asks for a job of the receiver's, or for a review: their ids are alike."""

    KIND: ClassVar[int] = 17
    ticket: ShortText
    """Names it in the answer."""
    job: JobId
    beyond: Count = 0
    """How many of its events the sender has."""
    patience: Annotated[int, msgspec.Meta(ge=0, le=60)] = 0
    """Seconds that the answer may wait for more of them."""


class JobAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The job that was asked for, or why not."""

    KIND: ClassVar[int] = 18
    ticket: ShortText
    job: Job | None = None
    entries: tuple[Entry, ...] = ()
    """Its events beyond those that the receiver has: the first hundred of them."""
    token: ShortText = ""
    """The job's token, for one of those hosts that it is for."""
    reason: ShortText = ""
    """Why there is no job."""
    review: Review | None = None
    """In place of a job the review of that id, for a host that its worker or a reviewer is on."""


class Report(msgspec.Struct, frozen=True):
    """An event of a job of the receiver's. Sent again, it is answered, not repeated."""

    KIND: ClassVar[int] = 19
    event: Event


class Reported(msgspec.Struct, frozen=True):
    """What became of an event: it is on the disk of the job's home, or it was dropped."""

    KIND: ClassVar[int] = 20
    job: JobId
    emitter: str
    seq: Count
    reason: str = ""
    """Why it was dropped; empty when it was accepted."""


JobFrame = JobRequest | JobAnswer | Report | Reported


class _SealedSlice(msgspec.Struct, frozen=True, omit_defaults=True):
    """How news of a slice stands on the wire."""

    slice: msgspec.Raw
    key: str = ""
    signature: str = ""


Frame = (
    Hello
    | SliceNews
    | Deliver
    | ReceiptNews
    | Offer
    | Ready
    | Chunk
    | Dropped
    | Refusal
    | Bye
    | Withdraw
    | Summary
    | Invite
    | Ping
    | ContactsNews
    | Held
    | JobFrame
)

# Append only: these numbers are spoken by other hosts, of other versions.
_FRAMES: dict[int, type[Frame]] = {
    frame.KIND: frame
    for frame in (
        Hello,
        SliceNews,
        Deliver,
        ReceiptNews,
        Offer,
        Ready,
        Chunk,
        Dropped,
        Refusal,
        Bye,
        Withdraw,
        Summary,
        Invite,
        Ping,
        ContactsNews,
        Held,
        JobRequest,
        JobAnswer,
        Report,
        Reported,
    )
}
_RAW_KIND = Chunk.KIND
_ENCODER = msgspec.json.Encoder()
_DECODERS = {kind: msgspec.json.Decoder(frame) for kind, frame in _FRAMES.items() if kind != _RAW_KIND}
_SEALED_DECODER = msgspec.json.Decoder(_SealedSlice)
_SLICE_DECODER = msgspec.json.Decoder(Slice)


def encode(frame: Frame) -> bytes:
    r"""Return a frame as bytes. Raises ProtocolError when it is larger than a frame may be.

    >>> encode(Ready(0))
    b'\x00\x00\x00\r\x06{"offset":0}'
    """
    match frame:
        case Chunk(data):
            body = data
        case SliceNews(part, seal):
            text = msgspec.Raw(seal.text or slice_text(part))
            body = _ENCODER.encode(_SealedSlice(text, seal.key, seal.signature))
        case _:
            body = _ENCODER.encode(frame)
    length = len(body) + 1
    if length > LARGEST_FRAME:
        raise ProtocolError(reason=f"a frame of {length:,} bytes is larger than {LARGEST_FRAME:,}")
    return length.to_bytes(_LENGTH, "big") + frame.KIND.to_bytes(1, "big") + body


def spoken_from(frame: Frame) -> int:
    """Return the protocol from which on a frame is understood that has to be answered by whoever gets it.

    >>> spoken_from(Ping()), spoken_from(JobRequest("1", "hub-00112233aabbccdd"))
    (1, 6)
    """
    return JOBS if isinstance(frame, JobFrame) else OLDEST_PROTOCOL


def slice_text(part: Slice) -> bytes:
    """Return a slice as JSON: what its host signs."""
    return _ENCODER.encode(part)


def _decode(kind: int, body: bytes) -> Frame | None:
    if kind == _RAW_KIND:
        return Chunk(body)
    if kind not in _DECODERS:
        return None
    try:
        if kind == SliceNews.KIND:
            sealed = _SEALED_DECODER.decode(body)
            text = bytes(sealed.slice)
            seal = Seal(text, sealed.key, sealed.signature) if sealed.signature else UNSIGNED
            return SliceNews(_SLICE_DECODER.decode(text), seal)
        return _DECODERS[kind].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(reason=f"a frame of kind {kind} is malformed ({error})") from error


class Decoder:
    r"""Turns the bytes of one direction into frames, however they are cut. Unknown kinds are passed over.

    >>> decoder = Decoder()
    >>> whole = encode(Ready(7))
    >>> decoder.feed(whole[:6]), decoder.feed(whole[6:])
    ([], [Ready(offset=7)])
    """

    def __init__(self) -> None:
        self._pending = bytearray()

    @property
    def pending(self) -> bytes:
        """The bytes of a frame that isn't whole yet."""
        return bytes(self._pending)

    @property
    def is_amid_frame(self) -> bool:
        """Whether a frame has begun that isn't whole yet."""
        return bool(self._pending)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are whole now. Raises ProtocolError; nothing can be decoded after that."""
        self._pending += data
        frames: list[Frame] = []
        while len(self._pending) >= _LENGTH:
            length = int.from_bytes(self._pending[:_LENGTH], "big")
            if not 1 <= length <= LARGEST_FRAME:
                raise ProtocolError(reason=f"a frame claims {length:,} bytes")
            if len(self._pending) < _LENGTH + length:
                break
            kind = self._pending[_LENGTH]
            with memoryview(self._pending) as pending:  # a chunk is copied once, not twice
                body = bytes(pending[_LENGTH + 1 : _LENGTH + length])
            del self._pending[: _LENGTH + length]
            if (frame := _decode(kind, body)) is not None:
                frames.append(frame)
        return frames
