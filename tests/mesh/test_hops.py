"""Messages and files between hosts that reach each other only through a third."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from agentmesh.core.delivery import State
from agentmesh.core.model import Letter
from tests.eventually import eventually
from tests.mesh.conftest import Chain
from tests.mesh.local import LocalHost, befriend

pytestmark = pytest.mark.tmux

CLAUDE = Path(__file__).parent / "programs" / "claude.py"


def wait_until_reached(host: LocalHost, other: LocalHost) -> None:
    """Wait until a host knows the other one's pane, and that it lives."""

    def is_reached() -> bool:
        state = str(host.registry().get("slices", {}).get(other.name, {}).get("state"))
        return f"{other.name}-dev-first" in host.addresses() and state.startswith("live")

    eventually(is_reached, f"{host.name} reaches {other.name}", lambda: (host.registry(), host.log), 30.0)


def test_a_message_goes_over_a_hop_both_ways_and_its_receipt_names_it(chain: Chain) -> None:
    west, _, east = chain
    for one, other in ((west, east), (east, west)):
        wait_until_reached(one, other)
        sent = one.notify(f"{other.name}-dev-first", "over the middle")
        assert (sent.returncode, sent.stderr) == (0, ""), (one.log, other.log)
        assert sent.stdout == f"→ {other.name}-dev-first ({other.name}[dev:0] via middle): over the middle\n"
        assert f"[from {one.name} @ " in other.tmux.screen("dev:first")
        assert one.receipt(f"{other.name}-dev-first", "again").via == "middle"


def test_a_file_goes_over_a_hop(chain: Chain) -> None:
    west, _, east = chain
    wait_until_reached(west, east)
    (west.home / "data.bin").write_bytes(bytes(range(256)) * 20_000)
    sent = west.notify("east-dev-first", "--file", "data.bin")
    assert (sent.returncode, sent.stderr) == (0, ""), (west.log, east.log)
    assert (east.home / ".agent-inbox/west/data.bin").read_bytes() == (west.home / "data.bin").read_bytes()


def test_a_message_is_queued_until_the_hop_comes_up(chain: Chain) -> None:
    west, middle, east = chain
    wait_until_reached(west, east)
    middle.kill()
    refused = west.notify("east-dev-first", "not now")
    assert refused.returncode == 4
    assert "east can't be reached: " in refused.stderr
    assert "(down since 2" in refused.stderr
    assert west.notify("east-dev-first", "--queue", "when there is a way").returncode == 0
    waiting = west.popen("notify-pane", "east-dev-first", "--wait=60", "and after it")
    middle.start()
    assert waiting.wait(60) == 0
    shown = east.tmux.screen("dev:first")
    assert shown.index("when there is a way") < shown.index("and after it")
    assert "not now" not in shown


def test_a_relay_that_dies_midway_leaves_no_doubt_when_it_is_back(chain: Chain) -> None:
    west, middle, east = chain
    log = east.home / "slow.log"
    pane = east.open("slow", sys.executable, CLAUDE, log, "slow")
    eventually(lambda: "east-dev-slow" in west.addresses(), "west knows the pane")
    wait_until_reached(west, east)
    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(west.notify, "east-dev-slow", "said once, though the way broke")
        eventually(lambda: "[from west" in east.tmux.screen(pane), "it is being typed")
        middle.kill()
        sent = sending.result()
    assert sent.returncode == 7
    assert "The link broke before east told of its end" in sent.stderr
    middle.start()

    def states() -> list[State]:
        letters = msgspec.json.decode(west.run("agentmesh", "outbox", "--all", "--json").stdout, type=list[Letter])
        return [letter.receipt.state for letter in letters if letter.message.to == "east-dev-slow"]

    eventually(lambda: states() == [State.SUBMITTED], "west learns of its end", lambda: (states(), west.log))
    assert len([json.loads(line) for line in log.read_text().splitlines()]) == 1


def test_a_host_relays_between_hosts_of_its_own_peers_alone(chain: Chain) -> None:
    west, middle, east = chain
    wait_until_reached(west, east)
    members = (middle.agents / "peers.conf").read_text()
    (middle.agents / "peers.conf").write_text("west\n")
    middle.asking.sync()
    west.kill()  # so that no link over middle is left
    west.start()
    wait_until_reached(west, east)
    refused = west.notify("east-dev-first", "let me through")
    assert refused.returncode == 4
    assert "over middle: middle said: east isn't in middle's peers.conf" in refused.stderr
    (middle.agents / "peers.conf").write_text(members)
    middle.asking.sync()
    assert west.notify("east-dev-first", "--wait=60", "as a member").returncode == 0
    assert "let me through" not in east.tmux.screen("dev:first")


def test_hosts_of_no_peers_conf_are_not_let_in_by_a_relay(chain: Chain) -> None:
    west, _, east = chain
    wait_until_reached(west, east)
    (east.agents / "peers.conf").write_text("middle\n")
    east.asking.sync()
    west.kill()
    west.start()
    wait_until_reached(west, east)
    refused = west.notify("east-dev-first", "I am west")
    assert refused.returncode == 4
    assert "east said: west isn't in east's peers.conf" in refused.stderr
    (east.agents / "peers.conf").write_text("middle\nwest\n")
    east.asking.sync()


def test_a_direct_link_is_preferred_when_it_comes_up(chain: Chain) -> None:
    west, _, east = chain
    wait_until_reached(west, east)
    assert west.run("notify-pane", "east-dev-first", "--wait=60", "over the middle").stdout.count(" via middle)") == 1
    befriend(chain)
    assert west.receipt("east-dev-first", "directly").via == ""
    assert east.receipt("west-dev-first", "directly").via == ""


@pytest.fixture(scope="module")
def star(root: Path) -> Iterator[Chain]:
    """Yield a hub, and two hosts that nobody can dial: each dials the hub."""
    with ExitStack() as life:
        hosts = LocalHost("hub", root), LocalHost("laptop", root), LocalHost("tablet", root)
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts, deaf=["laptop", "tablet"])
        yield hosts


def send_file(one: LocalHost, other: LocalHost, name: str) -> str:
    """Drop a file on another host; return what notify-pane says."""
    wait_until_reached(one, other)
    (one.home / name).write_bytes(bytes(range(256)) * 10_000)
    sent = one.notify(f"{other.name}-dev-first", "--file", name)
    assert (sent.returncode, sent.stderr) == (0, ""), (one.log, other.log)
    landed = other.home / ".agent-inbox" / one.name / name
    assert landed.read_bytes() == (one.home / name).read_bytes()
    return sent.stdout


def test_a_file_reaches_a_host_that_only_dials_out(star: Chain) -> None:
    hub, laptop, _ = star
    assert " via " not in send_file(hub, laptop, "down.bin")


def test_hosts_that_only_dial_out_reach_each_other_over_the_one_they_dial(star: Chain) -> None:
    _, laptop, tablet = star
    assert "(tablet[dev:0] via hub)" in send_file(laptop, tablet, "across.bin")
    assert "(laptop[dev:0] via hub)" in send_file(tablet, laptop, "back.bin")
    assert laptop.receipt("tablet-dev-first", "and a word").via == "hub"
