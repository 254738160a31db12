"""The conversation with one peer, as a script of frames and commands."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.identity import Seal, Terms
from agentmesh.core.model import Origin
from agentmesh.core.session import (
    Accept,
    Answered,
    Close,
    Command,
    Compare,
    Greet,
    Learn,
    Part,
    Record,
    Send,
    Session,
    TakeBack,
    Visit,
    opening,
    receive,
)
from agentmesh.core.wire import (
    Bye,
    Chunk,
    Deliver,
    Frame,
    Hello,
    Invite,
    Ping,
    Ready,
    ReceiptNews,
    SliceNews,
    Summary,
    Withdraw,
)
from tests.core.examples import a_message, a_receipt, a_slice, frames
from tests.fuzz.decoder import converse

HELLO = Hello(host="worker", version="1")
OWN = Hello(host="hub", version="1")
CALLED = Session(own=OWN)
DIALLED = Session(own=OWN, begins=True, expected="worker")
GREETED = msgspec.structs.replace(CALLED, peer=HELLO)
SEAL = Seal(b"text", "key", "signature")
CLAIMED = Origin("worker", "claimed")
PINS = frozenset({"worker"})
RELAYED = msgspec.structs.replace(GREETED, via="middle")


def test_the_side_that_begins_speaks_first() -> None:
    assert opening(DIALLED) == [Send(OWN)]
    assert opening(CALLED) == []


def test_the_side_that_began_learns_who_answers() -> None:
    assert receive(DIALLED, HELLO) == (msgspec.structs.replace(DIALLED, peer=HELLO), [Greet(HELLO)])


@pytest.mark.parametrize("channel", ["link", "drop", "visit"])
def test_a_caller_is_answered(channel: str) -> None:
    hello = msgspec.structs.replace(HELLO, channel=channel)
    session, commands = receive(CALLED, hello)
    assert session.peer == hello
    assert commands == [Send(OWN), Greet(hello)]


@pytest.mark.parametrize("channel", ["answer", "relay", "relayed"])
def test_other_callers_are_answered_when_what_they_ask_for_is_there(channel: str) -> None:
    hello = msgspec.structs.replace(HELLO, channel=channel)
    assert receive(CALLED, hello)[1] == [Greet(hello)]


@pytest.mark.parametrize("channel", ["answer", "relay", "relayed"])
def test_no_relay_leads_over_a_relay(channel: str) -> None:
    session = msgspec.structs.replace(CALLED, expected="worker", via="middle")
    after, commands = receive(session, msgspec.structs.replace(HELLO, channel=channel))
    assert after == session
    assert _closing(commands) == f"a conversation for {channel} is not held here"


def test_only_the_host_that_a_relay_has_named_is_answered_over_it() -> None:
    session = msgspec.structs.replace(CALLED, expected="worker", via="middle")
    assert receive(session, HELLO)[1] == [Send(OWN), Greet(HELLO)]
    assert _closing(receive(session, Hello(host="other", version="1"))[1]).startswith("worker calls itself other")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (SliceNews(a_slice(host="worker")), "the first frame was no hello"),
        (Bye("no"), "worker said: no"),
        (Hello(host="hub", version="1"), "it calls itself hub, as this host does"),
        (Hello(host="other", version="1"), "worker calls itself other"),
        (Hello(host="worker", version="9", oldest=7, newest=8), "no common protocol: it speaks 7 to 8"),
        (Hello(host="worker", version="0", oldest=0, newest=0), "no common protocol: it speaks 0 to 0"),
    ],
)
def test_a_wrong_greeting_closes_the_conversation(frame: Frame, reason: str) -> None:
    after, commands = receive(DIALLED, frame)
    assert after == DIALLED
    assert _closing(commands).startswith(reason)


def test_a_newer_peer_that_still_speaks_our_protocol_is_greeted() -> None:
    hello = Hello(host="worker", version="9", oldest=1, newest=7, channel="drop")
    assert receive(CALLED, hello)[1] == [Send(OWN), Greet(hello)]


def test_a_caller_for_something_unknown_is_refused() -> None:
    commands = receive(CALLED, msgspec.structs.replace(HELLO, channel="songs"))[1]
    assert _closing(commands) == "a conversation for songs is not held here"


@pytest.mark.parametrize(
    ("frame", "commands"),
    [
        *((SliceNews(a_slice(host=host)), [Learn(a_slice(host=host), CLAIMED)]) for host in ("worker", "third", "hub")),
        (Summary(("hub",)), [Compare("worker", Summary(("hub",)))]),
        (Deliver(a_message(), 7), [Accept(a_message(), 7, CLAIMED)]),
        (Withdraw(a_message()), [TakeBack(a_message(), CLAIMED)]),
        (ReceiptNews(a_receipt(host="worker")), [Record(a_receipt(host="worker"))]),
        (ReceiptNews(a_receipt(host="third")), []),
        (SliceNews(a_slice(), SEAL), [Learn(a_slice(), CLAIMED, SEAL)]),
        (Chunk(b"x"), []),
        (Ready(0), []),
        (Bye("I am leaving"), [Close("worker said: I am leaving")]),
        (Bye("\x1b[31mred\n" + "x" * 1000), [Close("worker said: [31mred " + "x" * 292)]),
        (Bye("one is enough", awaited=True), [Part()]),
        (Invite("123"), [Visit("worker", "123")]),
        (Ping(), [Send(Ping(is_answer=True))]),
        (Ping(is_answer=True), [Answered()]),
        (HELLO, [Close("a second hello")]),
    ],
)
def test_a_frame_of_a_known_peer_is_a_command(frame: Frame, commands: list[Command]) -> None:
    assert receive(GREETED, frame) == (GREETED, commands)


@pytest.mark.parametrize("frame", [SliceNews(a_slice(host="worker")), Summary(("hub",)), Invite("123")])
def test_over_a_relay_nothing_is_heard_of_the_registry(frame: Frame) -> None:
    assert receive(RELAYED, frame) == (RELAYED, [])


def test_a_receipt_names_the_host_that_it_came_over_whatever_the_peer_says() -> None:
    heard = ReceiptNews(a_receipt(host="worker", via="moon"))
    assert receive(RELAYED, heard)[1] == [Record(a_receipt(host="worker", via="middle"))]
    assert receive(GREETED, heard)[1] == [Record(a_receipt(host="worker"))]


def test_a_pinned_peer_that_speaks_for_another_is_refused() -> None:
    pinned = msgspec.structs.replace(CALLED, terms=Terms(pinned="worker", names=PINS))
    _, commands = receive(pinned, Hello(host="other", version="1"))
    assert _closing(commands).startswith("its key is pinned to worker, and it calls itself other")
    session, commands = receive(pinned, HELLO)
    assert commands == [Send(OWN), Greet(HELLO)]
    assert session.origin == Origin("worker", "pinned")


def test_a_host_that_was_dialled_needs_no_pin() -> None:
    terms = Terms(names=PINS, require_pinned=True)
    session, _ = receive(msgspec.structs.replace(DIALLED, terms=terms), HELLO)
    assert session.origin == Origin("worker", "host key")


OVER_MIDDLE = Session(own=OWN, expected="worker", via="middle")


def test_over_a_relay_a_pinned_key_proves_who_speaks() -> None:
    terms = Terms(pinned="worker", names=PINS, require_pinned=True)
    session, commands = receive(msgspec.structs.replace(OVER_MIDDLE, terms=terms), HELLO)
    assert commands == [Send(OWN), Greet(HELLO)]
    assert session.origin == Origin("worker", "pinned", "middle")


def test_over_a_relay_who_needs_no_proof_is_a_claim() -> None:
    session, commands = receive(OVER_MIDDLE, HELLO)
    assert commands == [Send(OWN), Greet(HELLO)]
    assert session.origin == Origin("worker", "claimed", "middle")


UNPROVEN = [
    (Terms(names=PINS), "a key is pinned to worker, and who speaks over middle has another"),
    (Terms(pinned="middle", names=PINS | {"middle"}), "its key is pinned to middle, and it calls itself worker"),
    (Terms(require_pinned=True), "`agentmesh peers authorize worker KEY.pub` here"),
]


@pytest.mark.parametrize(("terms", "reason"), UNPROVEN)
def test_a_relay_can_not_speak_for_a_host_that_must_prove_itself(terms: Terms, reason: str) -> None:
    session = msgspec.structs.replace(OVER_MIDDLE, terms=terms)
    assert reason in _closing(receive(session, HELLO)[1])


@pytest.mark.parametrize(("terms", "reason"), UNPROVEN)
def test_to_who_answers_in_the_place_of_another_nothing_is_said(terms: Terms, reason: str) -> None:
    session = msgspec.structs.replace(OVER_MIDDLE, begins=True, terms=terms)
    assert reason in _closing(opening(session))


@pytest.mark.parametrize("channel", ["relay", "relayed"])
def test_a_relay_and_its_neighbours_must_all_be_new_enough(channel: str) -> None:
    older = msgspec.structs.replace(HELLO, newest=3, channel=channel)
    reason = "worker's agentmesh is too old for conversations over another host; upgrade it there"
    assert _closing(receive(CALLED, older)[1]) == reason
    asking = msgspec.structs.replace(DIALLED, own=msgspec.structs.replace(OWN, channel=channel))
    assert _closing(receive(asking, msgspec.structs.replace(HELLO, newest=3))[1]) == reason


@given(st.sampled_from([CALLED, DIALLED, GREETED, RELAYED]), st.lists(frames))
def test_any_frames_in_any_order_are_commands_that_are_well_formed(session: Session, heard: list[Frame]) -> None:
    converse(session, heard)


def _closing(commands: list[Command]) -> str:
    (command,) = commands
    assert isinstance(command, Close)
    return command.reason
