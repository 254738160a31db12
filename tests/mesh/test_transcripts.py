"""An agent of this version speaks with every earlier one: the caller's half of each transcript, played to it."""

from pathlib import Path

import pytest

from agentmesh.core.delivery import State
from agentmesh.core.wire import (
    NEWEST_PROTOCOL,
    OLDEST_PROTOCOL,
    Bye,
    Deliver,
    Hello,
    ReceiptNews,
    SliceNews,
    encode,
)
from tests.core.transcript import ANSWERER, load, transcripts
from tests.eventually import eventually
from tests.fuzz.decoder import framed
from tests.mesh.hostile import Stranger, raw
from tests.mesh.local import LocalHost
from tests.mesh.visit import Visit, keeper

pytestmark = pytest.mark.tmux


@pytest.mark.parametrize("path", transcripts(), ids=lambda path: path.stem)
def test_an_agent_answers_as_one_of_then_did(root: Path, path: Path) -> None:
    host = LocalHost(ANSWERER, root / path.stem[:12])
    try:
        visit = Visit(keeper(host))
        for piece in load(path):
            visit.play(piece)
        visit.end()
        assert "hello from then" in host.tmux.screen("dev:first")
        assert "this one waits" not in host.tmux.screen("dev:first")
        assert (host.home / ".agent-inbox" / "visitor-dev-desk" / "then.bin").stat().st_size == 2560
        assert "visitor-dev-desk" in host.registry()["agents"]
    finally:
        host.end()


MESSAGE = {"id": "f" * 32, "sender": "later-dev-x", "to": "dev-first", "host": "", "body": "from later", "sent": 0}


def test_a_later_version_is_understood_as_far_as_it_speaks_ours(host: LocalHost) -> None:
    hello = {"host": "later", "version": "9", "oldest": 1, "newest": 99, "channel": "link", "mood": {"fine": [1]}}
    message = {**MESSAGE, "to": f"{host.name}-dev-first", "host": host.name, "colour": "red"}
    with Stranger(host, raw(Hello.KIND, hello)) as later:
        later.say(
            framed(99, b"of later times"), raw(77, {}), raw(Deliver.KIND, {"message": message, "patience": 0, "x": 1})
        )
        answer = later.hear_of(ReceiptNews)
        assert isinstance(answer, ReceiptNews)
        assert (answer.receipt.id, answer.receipt.state) == (message["id"], State.SUBMITTED)


def test_the_first_version_is_sent_every_slice_though_it_asks_for_none(host: LocalHost) -> None:
    with Stranger(host, raw(Hello.KIND, {"host": "older", "version": "0", "oldest": 1, "newest": 1})) as older:
        heard = older.hear_of(SliceNews)
        assert isinstance(heard, SliceNews)
        assert heard.slice.host == host.name


@pytest.mark.parametrize(("oldest", "newest"), [(NEWEST_PROTOCOL + 1, 99), (0, OLDEST_PROTOCOL - 1)])
def test_without_a_common_protocol_both_sides_are_told_why(host: LocalHost, oldest: int, newest: int) -> None:
    with Stranger(host, encode(Hello(host="other", version="9", oldest=oldest, newest=newest))) as other:
        bye = other.hear_of(Bye)
        assert isinstance(bye, Bye)
        assert f"no common protocol: it speaks {oldest} to {newest}, this host" in bye.reason
        assert other.hear() is None
    eventually(lambda: f"it speaks {oldest} to {newest}" in host.log, "the log says so", lambda: host.log)
