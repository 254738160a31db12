"""What earlier versions said is understood still: each frame decoded, and taken for what it is."""

from pathlib import Path

import pytest

from agentmesh.core.session import (
    Accept,
    Chart,
    Close,
    Compare,
    Greet,
    Handle,
    Learn,
    Record,
    Session,
    TakeBack,
    receive,
)
from agentmesh.core.wire import (
    JOBS,
    NEWEST_PROTOCOL,
    Bye,
    Chunk,
    ContactsNews,
    Decoder,
    Deliver,
    Dropped,
    Frame,
    Hello,
    JobAnswer,
    JobRequest,
    Offer,
    Ready,
    ReceiptNews,
    Report,
    Reported,
    SliceNews,
    Summary,
    Withdraw,
)
from tests.core.transcript import ANSWERER, CALLER, load, transcripts

MEANINGS = {
    Hello: Greet,
    SliceNews: Learn,
    Summary: Compare,
    ContactsNews: Chart,
    Deliver: Accept,
    Withdraw: TakeBack,
    ReceiptNews: Record,
    Bye: Close,
    JobRequest: Handle,
    JobAnswer: Handle,
    Report: Handle,
    Reported: Handle,
}
"""What each frame of a link has to make an agent do."""
every_transcript = pytest.mark.parametrize("path", transcripts(), ids=lambda path: path.stem)


def said(path: Path, conversation: str, by: str) -> list[Frame]:
    """Return a side's frames."""
    decoder = Decoder()
    data = [piece.data for piece in load(path) if (piece.conversation, piece.by) == (conversation, by)]
    frames = [frame for part in data for frame in decoder.feed(part)]
    assert not decoder.is_amid_frame
    return frames


def test_this_protocol_has_its_transcript() -> None:
    assert any(path.name.startswith(f"protocol-{NEWEST_PROTOCOL}-") for path in transcripts())


@every_transcript
def test_a_transcript_is_a_whole_conversation(path: Path) -> None:
    links = {type(frame) for by in (CALLER, ANSWERER) for frame in said(path, "link", by)}
    drops = {type(frame) for by in (CALLER, ANSWERER) for frame in said(path, "drop", by)}
    assert links >= {Hello, SliceNews, Deliver, Withdraw, ReceiptNews, Bye}
    assert drops >= {Hello, Offer, Ready, Chunk, Dropped}


def test_since_there_are_jobs_a_transcript_has_both_sides_of_them() -> None:
    (path,) = (path for path in transcripts() if path.name.startswith(f"protocol-{JOBS}-"))
    asked, told = ({type(frame) for frame in said(path, "link", by)} for by in (CALLER, ANSWERER))
    assert asked >= {JobRequest, JobAnswer, Reported}
    assert told >= {JobRequest, JobAnswer, Report}


@every_transcript
@pytest.mark.parametrize(("by", "to"), [(CALLER, ANSWERER), (ANSWERER, CALLER)])
def test_each_frame_of_a_link_means_what_it_meant(path: Path, by: str, to: str) -> None:
    session = Session(own=Hello(host=to, version="later"))
    for frame in said(path, "link", by):
        session, commands = receive(session, frame)
        assert MEANINGS[type(frame)] in {type(command) for command in commands}, frame
    assert session.peer is not None
    assert session.peer.host == by


@every_transcript
def test_a_message_is_taken_as_it_was_sent(path: Path) -> None:
    bodies = [frame.message.body for frame in said(path, "link", CALLER) if isinstance(frame, Deliver)]
    assert bodies == ["hello from then", "this one waits"]
    (sent,) = (frame.data for frame in said(path, "drop", CALLER) if isinstance(frame, Chunk))
    (offer,) = (frame for frame in said(path, "drop", CALLER) if isinstance(frame, Offer))
    assert (offer.name, offer.size) == ("then.bin", len(sent))
