"""Hostile and broken peers: what they say harms neither the agent, nor the others that speak to it, nor its files."""

import re
from collections.abc import Callable, Collection, Iterator

import msgspec
import pytest

from agentmesh.core.delivery import State
from agentmesh.core.wire import (
    LARGEST_FRAME,
    Bye,
    Chunk,
    Deliver,
    Hello,
    Ready,
    ReceiptNews,
    Refusal,
    SliceNews,
    Summary,
    encode,
)
from tests.core.examples import a_message, a_pane, a_receipt, a_slice
from tests.eventually import eventually
from tests.fuzz.decoder import framed
from tests.mesh.hostile import NAME, Drip, Flood, Stranger, raw
from tests.mesh.local import LocalHost
from tests.mesh.town import DROP, FOREIGN, HELLO, OFFER, Town, deliveries

pytestmark = pytest.mark.tmux


@pytest.fixture(scope="module", autouse=True)
def drips(town: Town) -> Iterator[dict[str, Drip]]:
    """Let frames drip while the other attacks go on: one that greets, and one that has a message, or a file."""
    hello, drop = encode(Hello(host="dripper", version="0")), encode(Hello(host="dripper", version="0", channel="drop"))
    message, offer = next(deliveries("left-dev-target", 1)), encode(OFFER)
    drips = {
        "hello": Drip(Stranger(town.left, b""), hello),
        "message": Drip(Stranger(town.left, hello), message),
        "offer": Drip(Stranger(town.left, drop), offer),
        "chunk": Drip(Stranger(town.left, drop + offer), encode(Chunk(b"x" * 1000))),
    }
    try:
        for drip in drips.values():
            drip.start()
        yield drips
    finally:
        for drip in drips.values():
            drip.stop()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (HELLO + (LARGEST_FRAME + 1).to_bytes(4, "big"), "a frame claims 1,048,577 bytes"),
        (HELLO + b"\xff\xff\xff\xff", "a frame claims 4,294,967,295 bytes"),
        (HELLO + bytes(4), "a frame claims 0 bytes"),
        (HELLO + framed(Ready.KIND, b"{]"), "a frame of kind 6 is malformed"),
        (HELLO + raw(Summary.KIND, {"links": {"a": 1}}), "a frame of kind 12 is malformed"),
        (HELLO + raw(Deliver.KIND, {"message": 7}), "a frame of kind 3 is malformed"),
        (HELLO + framed(Bye.KIND, b'{"reason": "\xff\xfe"}'), "a frame of kind 10 is malformed"),
        (HELLO + framed(SliceNews.KIND, b"[" * 100_000), "a frame of kind 2 is malformed"),
        (HELLO + HELLO, "a second hello"),
        (encode(Bye("no")), "the first frame was no hello"),
        (b"GET / HTTP/1.1\r\n\r\n", "a frame claims 1,195,725,856 bytes"),
        (encode(Hello(host="left", version="0")), "it calls itself left, as this host does"),
        (raw(Hello.KIND, {"host": "../..", "version": "0"}), "a frame of kind 1 is malformed"),
        (raw(Hello.KIND, {"host": "x\u001b[2J\n", "version": "0"}), "a frame of kind 1 is malformed"),
        (encode(Hello(host=NAME, version="9", oldest=8, newest=9)), "no common protocol: it speaks 8 to 9"),
        (DROP + encode(Chunk(b"x")), "an offer was expected"),
    ],
    ids=[
        *("oversized", "huge", "empty", "json", "type", "inner-type", "utf8", "nested", "hello-twice"),
        *("no-hello", "http", "own-name", "no-alias", "control", "future", "chunk-first"),
    ],
)
def test_a_broken_frame_ends_its_conversation_with_a_reason(town: Town, data: bytes, reason: str) -> None:
    with Stranger(town.left, data) as stranger:
        bye = stranger.hear_of(Bye)
        assert isinstance(bye, Bye)
        assert reason in bye.reason
        assert stranger.hear() is None
    town.said(re.escape(reason))
    assert "Traceback" not in town.left.log


def test_a_conversation_that_ends_in_a_frame_is_told_of(town: Town) -> None:
    with Stranger(town.left) as stranger:
        stranger.say(encode(Ready(7))[:-2])
        stranger.end()
    town.said("ended in the middle of a frame")


def test_what_makes_no_sense_is_passed_over_and_the_conversation_goes_on(town: Town) -> None:
    nonsense = [
        *(framed(kind, b"whatever") for kind in (0, 99, 200, 255)),
        *(encode(frame) for frame in (Ready(7), Chunk(b"x" * 1000), Refusal("no"))),
        *(encode(SliceNews(part)) for part in FOREIGN),
        *(encode(ReceiptNews(a_receipt(number, State.SUBMITTED, host=NAME))) for number in range(100)),
        encode(ReceiptNews(a_receipt(host="right"))),
        encode(Summary(tuple(f"host-{number}" for number in range(10_000)))),
    ]
    with town.besieged(), Stranger(town.left) as stranger:
        stranger.say(*nonsense, *deliveries("left-no-such", 1))
        state = State.STORED  # which is said where the end takes a moment
        while state is State.STORED:
            answer = stranger.hear_of(ReceiptNews)
            assert isinstance(answer, ReceiptNews)
            state = answer.receipt.state
        assert state is State.FAILED
        town.said("its host is not in peers.conf host=stranger")
        town.said(f"slice refused host={NAME} .*it speaks for another host")
        assert "agents" not in town.left.registry() or not any(
            address.startswith((NAME, "stranger")) for address in town.left.registry()["agents"]
        )
        assert set(town.left.registry()["slices"]) <= {"left", "right", NAME}


HOSTILE_TEXTS = [
    '"]',
    "[agents.forged]",
    'x"\n[agents.forged]'.replace("\n", " "),
    "''''",
    '"""',
    "back\\slash\\",
    "\\u0000 \\x00 \\",
    "# no comment",
    "= 1 = [[",
    "ünï 🦊 \u202eright-to-left\u2028",
    "{inline = true}",
    "x" * 5000,
]
FIELDS = ("target", "session", "window", "role", "scope", "command", "cwd", "program", "handle", "server")


def wait_for_registry(host: LocalHost, holds: Callable[[Collection[str]], bool]) -> None:
    """Wait until the addresses of registry.toml are what is hoped for."""
    eventually(lambda: holds(host.registry().get("agents", {})), "registry.toml says so", lambda: host.log[-3000:])


def test_whatever_a_peer_calls_its_windows_the_registry_reads_back_exactly_that(town: Town) -> None:
    panes = [
        a_pane(f"{NAME}-dev-w{number}", host=NAME, **dict.fromkeys(FIELDS, text))
        for number, text in enumerate(HOSTILE_TEXTS)
    ]
    with town.besieged(), Stranger(town.left) as stranger:
        stranger.say(encode(SliceNews(a_slice(*panes, host=NAME, epoch=50))))
        for host in (town.left, town.right):  # the other has heard of it through this one
            wait_for_registry(host, lambda agents: panes[-1].address in agents)
            agents = host.registry()["agents"]
            assert "forged" not in agents
            for pane in panes:
                assert agents[pane.address] == {
                    "host": NAME,
                    "pane": pane.pane,
                    **{field: getattr(pane, field) for field in FIELDS},
                }


def test_three_thousand_windows_are_known_everywhere(town: Town) -> None:
    panes = [a_pane(f"{NAME}-dev-w{number}", host=NAME) for number in range(3000)]
    with town.besieged(), Stranger(town.left) as stranger:
        stranger.say(encode(SliceNews(a_slice(*panes, host=NAME, epoch=51))))
        for host in (town.left, town.right):
            wait_for_registry(host, lambda agents: sum(address.startswith(NAME) for address in agents) == 3000)
            assert len(host.addresses()) > 3000
        town.friend_is_served()
        stranger.say(encode(SliceNews(a_slice(host=NAME, epoch=52))))
        eventually(lambda: len(town.right.addresses()) < 100, "they are gone", lambda: town.right.log)


def test_ten_thousand_windows_in_one_frame_end_the_conversation_and_the_slice_before_stands(town: Town) -> None:
    panes = [a_pane(f"{NAME}-dev-w{number}", host=NAME) for number in range(10_000)]
    body = msgspec.json.encode(SliceNews(a_slice(*panes, host=NAME, epoch=60)))
    with town.besieged(), Stranger(town.left) as stranger:
        stranger.say(encode(SliceNews(a_slice(panes[0], host=NAME, epoch=59))))
        eventually(lambda: panes[0].address in town.left.addresses(), "it is known")
        flood = Flood(stranger, [framed(SliceNews.KIND, body)])
        flood.start()
        flood.join(30)
        town.said(f"a frame claims {len(body) + 1:,} bytes")
        assert panes[0].address in town.left.addresses()
        assert panes[1].address not in town.left.addresses()


@pytest.mark.parametrize("size", [2 * 1024**3 + 1, 2**62], ids=["too-large", "absurd"])
def test_an_offer_of_an_absurd_size_is_refused(town: Town, size: int) -> None:
    with town.besieged(), Stranger(town.left, DROP) as stranger:
        stranger.say(encode(msgspec.structs.replace(OFFER, size=size)))
        refusal = stranger.hear_of(Refusal)
        assert isinstance(refusal, Refusal)
        assert f"it has {size:,} bytes" in refusal.reason


def test_more_than_was_offered_is_refused_and_nothing_of_it_stays(town: Town) -> None:
    with town.besieged(), Stranger(town.left, DROP) as stranger:
        stranger.say(encode(OFFER), encode(Chunk(b"x" * 1000)), encode(Chunk(b"x" * 1001)))
        refusal = stranger.hear_of(Refusal)
        assert isinstance(refusal, Refusal)
        assert "more bytes came than were announced" in refusal.reason
    assert not (town.left.home / ".agent-inbox" / OFFER.sender / OFFER.name).exists()


def test_as_many_messages_may_wait_for_nobody_as_for_one_pane(town: Town) -> None:
    asked = 150
    with town.besieged(), Stranger(town.left) as stranger:
        for number in range(asked):
            stranger.say(*deliveries(f"left-nobody-{number}", 1, 600))
        ends = 0
        while ends < asked - 100:
            answer = stranger.hear_of(ReceiptNews)
            assert isinstance(answer, ReceiptNews)
            ends += answer.receipt.state is State.REFUSED
            assert answer.receipt.state in {State.STORED, State.REFUSED}


def test_a_frame_that_drips_is_not_waited_for(town: Town, drips: dict[str, Drip]) -> None:
    eventually(lambda: all(drip.cut for drip in drips.values()), "all are cut", lambda: town.left.log[-3000:], 90)
    town.said("no hello within 10 s")
    town.said("a frame was not whole 30 s after it had begun")
    town.friend_is_served()


def test_a_wait_without_end_is_no_poison_for_the_next_start(town: Town) -> None:
    with Stranger(town.left) as stranger:
        stranger.say(encode(Deliver(a_message(99, to="left-dev-target", host="left"), 2**62)))
        answer = stranger.hear_of(ReceiptNews)
        assert isinstance(answer, ReceiptNews)
        assert answer.receipt.state in {State.STORED, State.SUBMITTED, State.REFUSED}
        town.left.keep_port()
        town.left.kill()
    town.left.start()
    town.friend_is_served()
