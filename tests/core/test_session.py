"""The conversation with one peer, as a script of frames and commands."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.session import (
    Accept,
    Close,
    Command,
    Compare,
    Greet,
    Learn,
    Record,
    Send,
    Session,
    TakeBack,
    opening,
    receive,
)
from agentmesh.core.wire import Bye, Chunk, Deliver, Frame, Hello, Ready, ReceiptNews, SliceNews, Summary, Withdraw
from tests.core.examples import a_message, a_receipt, a_slice, frames
from tests.fuzz.decoder import converse

HELLO = Hello(host="worker", version="1")
FRESH = Session(own=Hello(host="hub", version="1"))
GREETED = msgspec.structs.replace(FRESH, peer=HELLO)


def test_each_side_begins_with_its_hello() -> None:
    assert opening(FRESH) == [Send(FRESH.own)]


@pytest.mark.parametrize("expected", [None, "worker"])
def test_a_hello_makes_the_peer_known(expected: str | None) -> None:
    session, commands = receive(msgspec.structs.replace(FRESH, expected=expected), HELLO)
    assert session.peer == HELLO
    assert commands == [Greet("worker", "link", summarises=True)]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (SliceNews(a_slice(host="worker")), "the first frame was no hello"),
        (Bye("no"), "the first frame was no hello"),
        (Hello(host="hub", version="1"), "it calls itself hub, as this host does"),
        (Hello(host="other", version="1"), "worker calls itself other"),
        (Hello(host="worker", version="9", oldest=3, newest=4), "no common protocol: it speaks 3 to 4"),
        (Hello(host="worker", version="0", oldest=0, newest=0), "no common protocol: it speaks 0 to 0"),
    ],
)
def test_a_wrong_greeting_closes_the_conversation(frame: Frame, reason: str) -> None:
    session = msgspec.structs.replace(FRESH, expected="worker")
    after, commands = receive(session, frame)
    assert after == session
    assert _closing(commands).startswith(reason)


def test_a_newer_peer_that_still_speaks_our_protocol_is_greeted() -> None:
    _, commands = receive(FRESH, Hello(host="worker", version="9", oldest=1, newest=7, channel="drop"))
    assert commands == [Greet("worker", "drop", summarises=True)]


def test_a_peer_of_the_first_protocol_sends_no_summaries() -> None:
    _, commands = receive(FRESH, Hello(host="worker", version="0.1", newest=1))
    assert commands == [Greet("worker", "link", summarises=False)]


@pytest.mark.parametrize(
    ("frame", "commands"),
    [
        *(
            (SliceNews(a_slice(host=host)), [Learn(a_slice(host=host), "worker")])
            for host in ("worker", "third", "hub")
        ),
        (Summary(("hub",)), [Compare("worker", Summary(("hub",)))]),
        (Deliver(a_message(), 7), [Accept(a_message(), 7)]),
        (Withdraw(a_message()), [TakeBack(a_message())]),
        (ReceiptNews(a_receipt(host="worker")), [Record(a_receipt(host="worker"))]),
        (ReceiptNews(a_receipt(host="third")), []),
        (Chunk(b"x"), []),
        (Ready(0), []),
        (Bye("I am leaving"), [Close("worker said: I am leaving")]),
        (Bye("\x1b[31mred\n" + "x" * 1000), [Close("worker said: [31mred " + "x" * 292)]),
        (HELLO, [Close("a second hello")]),
    ],
)
def test_a_frame_of_a_known_peer_is_a_command(frame: Frame, commands: list[Command]) -> None:
    assert receive(GREETED, frame) == (GREETED, commands)


@given(st.sampled_from([FRESH, GREETED, msgspec.structs.replace(FRESH, expected="worker")]), st.lists(frames))
def test_any_frames_in_any_order_are_commands_that_are_well_formed(session: Session, heard: list[Frame]) -> None:
    converse(session, heard)


def _closing(commands: list[Command]) -> str:
    (command,) = commands
    assert isinstance(command, Close)
    return command.reason
