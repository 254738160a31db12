"""Hostile and broken peers: what they do harms neither the agent, nor the others that speak to it, nor its files."""

import itertools
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from agentmesh.agent.callers import MOST, MOST_OF_ONE
from agentmesh.core.delivery import State
from agentmesh.core.model import Slice, Version
from agentmesh.core.wire import (
    LARGEST_FRAME,
    Bye,
    Chunk,
    Deliver,
    Hello,
    Offer,
    Ready,
    ReceiptNews,
    Refusal,
    SliceNews,
    Summary,
    Withdraw,
    encode,
)
from tests.core.examples import NOW, a_message, a_pane, a_receipt, a_slice
from tests.eventually import eventually
from tests.fuzz.decoder import framed
from tests.mesh.hostile import NAME, Drip, Flood, Stranger, raw
from tests.mesh.local import LocalHost, befriend

pytestmark = pytest.mark.tmux

MEMORY = 150
"""MiB that an attack may add: far less than what is sent, or asked to be kept."""


class Town:
    """Two hosts that are friends, and whose peers.conf has a third: the attacks come in its name."""

    def __init__(self, left: LocalHost, right: LocalHost) -> None:
        self.left, self.right = left, right

    @contextmanager
    def besieged(self) -> Iterator[None]:
        """See that the agent stands an attack: its memory, its log, and what a friend sends during it and after it."""
        pid, before = self.left.status().pid, self._memory("VmRSS")
        log = len(self.left.log)
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): the peak is measured anew
        yield
        self.friend_is_served()
        assert self.left.status().pid == pid
        assert self._memory("VmHWM") - before < MEMORY, f"MiB before: {before}"
        assert "Traceback" not in self.left.log
        assert len(self.left.log) - log < 300_000, self.left.log[log : log + 5000]

    def friend_is_served(self) -> None:
        """See that a message from the other host is delivered, and a change here known there."""
        assert self.right.receipt("left-dev-first", "still there?").state is State.SUBMITTED
        name = f"w{uuid.uuid4().hex[:8]}"
        self.left.tmux.run("rename-window", "-t", "dev:1", name)
        eventually(lambda: f"left-dev-{name}" in self.right.addresses(), "a change is known", lambda: self.left.log)

    def said(self, words: str) -> None:
        """Wait until the agent's log says so."""
        eventually(lambda: re.search(words, self.left.log), f"the log says {words}", lambda: self.left.log[-3000:])

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.left.status().pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) // 1024


@pytest.fixture(scope="module")
def town(root: Path) -> Iterator[Town]:
    with ExitStack() as life:
        hosts = LocalHost("left", root), LocalHost("right", root)
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts)
        for host in hosts:
            host.open("target", "cat")
            with (host.home / ".ssh" / "config").open("a") as config:
                config.write(f"Host {NAME}\n  HostName 127.0.0.1\n  Port 1\n")
            with (host.agents / "peers.conf").open("a") as peers:
                peers.write(f"{NAME}\n")
            assert host.run("agentmesh", "sync").returncode == 0
        yield Town(*hosts)


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


HELLO = encode(Hello(host=NAME, version="0"))
DROP = encode(Hello(host=NAME, version="0", channel="drop"))
OFFER = Offer(sender=f"{NAME}-dev-x", name="gift", size=2000, sha256="0" * 64)


def deliveries(to: str, count: int, patience: int = 0, body: str = "flood") -> Iterator[bytes]:
    for _ in range(count):
        yield encode(Deliver(a_message(id=uuid.uuid4().hex, to=to, host="left", body=body), patience))


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


FOREIGN = [
    a_slice(a_pane("stranger-dev-x", host="stranger"), host="stranger", epoch=9),
    a_slice(a_pane("right-dev-x", host="right"), host=NAME, epoch=9),
    a_slice(a_pane("right-dev-x", host=NAME), host=NAME, epoch=9),
    a_slice(a_pane(f"{NAME}-x", host=NAME, formerly={"right-dev-first": NOW}), host=NAME, epoch=9),
    a_slice(a_pane(f"{NAME}-x", host=NAME, window="\x1b]0;owned\x07"), host=NAME, epoch=9),
]


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
        answer = stranger.hear_of(ReceiptNews)
        assert isinstance(answer, ReceiptNews)
        assert answer.receipt.state is State.FAILED
        town.said("its host is not in peers.conf host=stranger")
        town.said(f"slice refused host={NAME} .*it speaks for another host")
        assert "agents" not in town.left.registry() or not any(
            address.startswith((NAME, "stranger")) for address in town.left.registry()["agents"]
        )
        assert set(town.left.registry()["slices"]) <= {"left", "right", NAME}


def newer_slices(count: int, **changes: object) -> Iterator[bytes]:
    for number in range(count):
        part = Slice(NAME, Version(7, number, ""), NOW, (a_pane(f"{NAME}-dev-x", host=NAME, **changes),))
        yield encode(SliceNews(part))


FLOODS: dict[str, Iterable[bytes]] = {
    "messages-for-nobody": deliveries("left-no-such", 10_000, body="x" * 5000),
    "messages-for-many-nobodies-that-wait": (
        frame for number in range(10_000) for frame in deliveries(f"left-no-{number}", 1, 600)
    ),
    "messages-for-one-pane": deliveries("left-dev-target", 10_000),
    "messages-for-one-pane-that-wait": deliveries("left-dev-target", 10_000, 600, "x" * 1000),
    "messages-too-large": deliveries("left-dev-target", 200, 600, "x" * 1_000_000),
    "messages-for-no-address": (
        frame for number in range(10_000) for frame in deliveries(f"@all,*,\n\0{number}/../{'x' * number}", 1, 600)
    ),
    "withdrawals": (
        encode(Withdraw(a_message(id=uuid.uuid4().hex, to="left-dev-target", host="left"))) for _ in range(10_000)
    ),
    "one-message-again-and-again": (
        encode(Deliver(a_message(77, to="left-no-such", host="left"))) for _ in range(10_000)
    ),
    "summaries": (encode(Summary((f"h{number}",), {})) for number in range(100_000)),
    "large-summaries": (
        encode(Summary(tuple(f"h{number}-{other}" for other in range(16_000)))) for number in range(100)
    ),
    "slices": newer_slices(100_000),
    "large-slices": newer_slices(50, cwd="x" * 1_000_000),
    "slices-of-strangers": (encode(SliceNews(a_slice(host=f"host-{number}"))) for number in range(100_000)),
    "slices-that-lie": (encode(SliceNews(FOREIGN[1 + number % 4])) for number in range(100_000)),
    "receipts": (encode(ReceiptNews(a_receipt(number, host=NAME))) for number in range(100_000)),
    "unknown-frames": itertools.repeat(framed(99, b""), 1_000_000),
    "empty-chunks": itertools.repeat(encode(Chunk(b"")), 1_000_000),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_holds_nobody_else_up(town: Town, name: str) -> None:
    with town.besieged(), Stranger(town.left) as stranger:
        flood = Flood(stranger, FLOODS[name])
        flood.start()
        eventually(lambda: flood.sent, "it flows", lambda: town.left.log[-3000:])
        town.friend_is_served()
        town.friend_is_served()


def test_who_reads_no_answer_is_cut(town: Town) -> None:
    with town.besieged(), Stranger(town.left) as stranger:
        flood = Flood(stranger, deliveries("no address: " + "x" * 5000, 100_000), reads=False)
        flood.start()
        eventually(lambda: flood.cut, "it is cut", lambda: (flood.sent, town.left.log[-3000:]))
        town.said("conversation cut reason=.*unread")


def test_who_reads_nothing_holds_up_no_news_for_others(town: Town) -> None:
    with town.besieged(), Stranger(town.left) as stranger:
        stranger.say(*newer_slices(1, cwd="x" * 1_000_000), encode(Summary((), {})))
        flood = Flood(stranger, (encode(Summary((), {})) for _ in range(100_000)), reads=False)
        flood.start()
        eventually(lambda: flood.sent, "it flows")
        for _ in range(3):
            town.friend_is_served()


def test_more_conversations_than_can_be_held_are_refused(town: Town) -> None:
    with town.besieged(), ExitStack() as held:
        for _ in range(MOST_OF_ONE):
            held.enter_context(Stranger(town.left))
        with Stranger(town.left) as one_too_many:
            bye = one_too_many.hear_of(Bye)
            assert isinstance(bye, Bye)
            assert f"{NAME} holds {MOST_OF_ONE} conversations here already" in bye.reason
        refused = 0
        for number in range(MOST - MOST_OF_ONE + 20):
            name = f"crowd-{number // MOST_OF_ONE}"
            stranger = held.enter_context(Stranger(town.left, name=name))
            refused += isinstance(stranger.hear_of(Bye), Bye) if number >= MOST - MOST_OF_ONE else 0
        assert refused == 20
        town.said(f"{MOST} conversations are held here already")
        assert town.left.notify("left-dev-first", "commands are no conversations").returncode == 0

    def is_taken() -> bool:
        with Stranger(town.left) as stranger:
            return isinstance(stranger.hear_of(Summary), Summary)

    eventually(is_taken, "there is room again when the others have gone", lambda: town.left.log[-3000:])


def test_a_storm_of_hellos_leaves_nothing_behind(town: Town) -> None:
    with town.besieged():
        for number in range(1000):
            with Stranger(town.left, name=f"storm-{number}") as stranger:
                assert isinstance(stranger.hear(), Hello)
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
