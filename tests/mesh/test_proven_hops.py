"""Who speaks over a hop is proven by keys from end to end, whatever the host between them does."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from agentmesh.core.model import Letter, Origin
from tests.eventually import eventually
from tests.mesh.conftest import Chain
from tests.mesh.local import LocalHost, befriend
from tests.mesh.test_hops import wait_until_reached

pytestmark = pytest.mark.tmux

LYING_RELAY = Path(__file__).parent / "programs" / "lying_relay.py"


@pytest.fixture(scope="module")
def star(root: Path) -> Iterator[Chain]:
    """Yield a hub that may lie, a laptop, and a worker that wants proof; both dial the hub, and nobody dials them."""
    with ExitStack() as life:
        hub, laptop, worker = hosts = LocalHost("hub", root), LocalHost("laptop", root), LocalHost("worker", root)
        with (worker.agents / "config.toml").open("a") as file:
            file.write("[identity]\nrequire_pinned = true\n")
        hub.program = (sys.executable, str(LYING_RELAY))
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts, deaf=["laptop", "worker"])
        wait_until_reached(laptop, worker)
        yield hosts


def pin(host: LocalHost, other: LocalHost) -> None:
    """Pin another host's key to its name."""
    pinned = host.run("agentmesh", "peers", "authorize", other.name, str(other.agents / "key.pub"))
    assert (pinned.returncode, pinned.stderr) == (0, "")


def last_origin(host: LocalHost) -> Origin:
    letters = msgspec.json.decode(host.run("agentmesh", "inbox", "--json").stdout, type=list[Letter])
    return letters[-1].origin


def test_who_has_no_pinned_key_is_refused_and_told_what_to_do(star: Chain) -> None:
    _, laptop, worker = star
    refused = laptop.notify("worker-dev-first", "let me in")
    assert refused.returncode == 4
    assert "worker said: require_pinned is set, and no key is pinned to laptop" in refused.stderr, worker.log
    assert "`agentmesh peers authorize laptop KEY.pub`" in refused.stderr
    assert "let me in" not in worker.tmux.screen("dev:first")


def test_a_pinned_host_s_message_and_file_are_taken_and_known_as_its_own(star: Chain) -> None:
    _, laptop, worker = star
    pin(worker, laptop)
    sent = laptop.run("notify-pane", "worker-dev-first", "--wait=60", "it is me")
    assert (sent.returncode, sent.stdout) == (0, "→ worker-dev-first (worker[dev:0] via hub): it is me\n"), worker.log
    assert last_origin(worker) == Origin("laptop", "pinned", "hub")
    assert ", pinned, via hub" in worker.run("agentmesh", "inbox").stdout
    (laptop.home / "data.bin").write_bytes(bytes(range(256)) * 20_000)
    dropped = laptop.notify("worker-dev-first", "--file", "data.bin")
    assert (dropped.returncode, dropped.stderr) == (0, ""), worker.log
    assert (worker.home / ".agent-inbox/laptop/data.bin").read_bytes() == (laptop.home / "data.bin").read_bytes()


def test_what_a_relay_alters_is_neither_typed_nor_told_to_be_delivered(star: Chain) -> None:
    hub, laptop, worker = star
    (hub.home / "alter").touch()
    sent = laptop.notify("worker-dev-first", "not to be altered")
    (hub.home / "alter").unlink()
    assert sent.returncode in {4, 7}, sent
    assert "not to be altered" not in worker.tmux.screen("dev:first")
    assert laptop.notify("worker-dev-first", "--wait=60", "from then on as before").returncode == 0


def test_a_relay_that_takes_a_pinned_host_s_place_is_told_nothing(star: Chain) -> None:
    hub, laptop, worker = star
    (hub.home / "pose").touch()
    pin(laptop, worker)
    refused = laptop.notify("worker-dev-first", "for worker's eyes")
    assert refused.returncode == 4
    assert "a key is pinned to worker, and who speaks over hub has another" in refused.stderr
    assert not (hub.home / "heard").exists()
    (hub.home / "pose").unlink()
    assert laptop.notify("worker-dev-first", "--wait=60", "to the real one").returncode == 0, laptop.log
    assert "for worker's eyes" not in worker.tmux.screen("dev:first")
    assert worker.notify("laptop-dev-first", "and back").returncode == 0
    assert last_origin(laptop) == Origin("worker", "pinned", "hub")


def test_a_revoked_key_is_cut_off_with_its_live_conversation(star: Chain) -> None:
    _, laptop, worker = star
    assert laptop.notify("worker-dev-first", "--wait=60", "while I may").returncode == 0
    seen = worker.log.count("laptop has been revoked")
    assert worker.run("agentmesh", "peers", "revoke", "laptop").returncode == 0
    eventually(lambda: worker.log.count("laptop has been revoked") > seen, "it is cut", lambda: worker.log)
    refused = laptop.notify("worker-dev-first", "once more")
    assert refused.returncode == 4
    assert "no key is pinned to laptop" in refused.stderr
    assert "once more" not in worker.tmux.screen("dev:first")
