"""Peers that say or ask too much: what they cost is bounded, and nobody else is held up."""

import itertools
import uuid
from collections.abc import Iterable
from contextlib import ExitStack

import pytest

from agentmesh.agent.callers import MOST, MOST_OF_ONE
from agentmesh.core.wire import (
    INVITATIONS,
    Bye,
    Chunk,
    Deliver,
    Hello,
    ReceiptNews,
    SliceNews,
    Summary,
    Withdraw,
    encode,
)
from tests.core.examples import a_message, a_receipt, a_slice
from tests.eventually import eventually
from tests.fuzz.decoder import framed
from tests.mesh.hostile import NAME, Flood, Stranger
from tests.mesh.town import FOREIGN, Town, deliveries, newer_slices

pytestmark = pytest.mark.tmux

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
    def silent(name: str) -> Stranger:
        """Return one that is too old to be asked whether it lives: those that say nothing to that would be cut."""
        return Stranger(town.left, encode(Hello(host=name, version="0", newest=INVITATIONS - 1)))

    with town.besieged(), ExitStack() as held:
        for _ in range(MOST_OF_ONE):
            held.enter_context(silent(NAME))
        with silent(NAME) as one_too_many:
            bye = one_too_many.hear_of(Bye)
            assert isinstance(bye, Bye)
            assert f"{NAME} holds {MOST_OF_ONE} conversations here already" in bye.reason
        refused = 0
        for number in range(MOST + 100):  # those that are let in, and some whose place comes free meanwhile
            stranger = held.enter_context(silent(f"crowd-{number // MOST_OF_ONE}"))
            refused += isinstance(stranger.hear_of(Bye, Summary), Bye)
            if refused == 20:
                break
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
