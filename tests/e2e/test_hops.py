"""Three hosts in a row with a real sshd, the ends without a route to each other: messages and files over the middle."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentmesh.core.model import Letter, Origin
from tests.e2e.hosts import Host, Network, obstacle
from tests.e2e.mesh import knows, make_mesh, open_window, screen, start_agent, status
from tests.eventually import eventually

pytestmark = pytest.mark.hosts

Row = tuple[Host, Host, Host]
NOBODY = "02:00:00:00:00:01"
"""An address of an interface that no host has: what is sent to it is lost, and a dial hangs."""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    if reason := obstacle():
        pytest.skip(reason)
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def row(network: Network) -> Row:
    west, middle, east = make_mesh(network, ["west", "middle", "east"], prepare=part)
    open_window(east, "dev", "box", "cat")
    eventually(knows(west, "east-dev-box"), "west knows east's pane", network.diagnose)
    return west, middle, east


def part(hosts: list[Host]) -> None:
    """Let what the ends send to each other be lost."""
    west, _, east = hosts
    for one, other in ((west, east), (east, west)):
        one.run("ip", "neighbour", "replace", other.address, "lladdr", NOBODY, "nud", "permanent", "dev", "eth0")


def test_a_message_goes_over_the_hop_while_the_direct_dial_hangs(row: Row) -> None:
    west, _, east = row
    sent = west.run("notify-pane", "east-dev-box", "over the middle", timeout=60)
    assert sent.stdout == "→ east-dev-box (east[dev:0] via middle): over the middle\n"
    assert "] over the middle" in screen(east, "dev:box")
    states = {peer.host: (peer.state, peer.via) for peer in status(west).peers}
    assert states["middle"] == ("up", "")
    assert states["east"] in {("connecting", "middle"), ("down", "middle")}


def test_reviewers_on_three_hosts_one_of_them_behind_a_relay_pass_a_changed_diff(network: Network, row: Row) -> None:
    west, middle, east = row
    for host in row:
        open_window(host, "dev", "rev", "bash --norc")
    names = [f"{host.name}-dev-rev" for host in row]
    eventually(knows(west, *names), "west knows the reviewers", network.diagnose)
    diff = west.outside("change.diff")
    diff.write_text("+flaw\n")
    words = ("--diff", "change.diff", "--worker", "east-dev-box", "--reviewers", ",".join(names))
    review = west.run("agentmesh", "review", "start", *words).stdout.strip()
    for number, flawed in enumerate((True, False), 1):
        asked = asks(west, review, number)
        assert set(asked) == set(names)
        for host in row:
            said = "not-pass --feedback 'line 1 leaks'" if flawed and host is east else "pass"
            assert in_pane(host, f"agentmesh review verdict {asked[f'{host.name}-dev-rev']} {said}") == 0
        told = f"Review {review}, round {number} of 3: NOT PASS (2 of 3 passed)."
        if flawed:
            eventually(lambda told=told: told in inbox(east), "the worker is told", network.diagnose)  # type: ignore[misc]
            assert "--- east-dev-rev: not-pass\n    line 1 leaks\n" in inbox(east)
            assert west.run("agentmesh", "review", "gate", review, check=False).returncode == 8
            diff.write_text("+mended\n")
            west.run("agentmesh", "review", "update", review)
    assert west.run("agentmesh", "review", "wait", review).returncode == 0
    assert west.run("agentmesh", "review", "gate", review).stdout == f"{review}: passed by {', '.join(names)}\n"
    shown = json.loads(west.run("agentmesh", "review", "show", review, "--json").stdout)
    (origin,) = (ask["origin"] for ask in shown["rounds"][1]["asks"] if ask["reviewer"]["host"] == "east")
    assert (origin["host"], origin["via"]) == ("east", "middle")
    others = west.run("agentmesh", "review", "start", *words[:2], "--worker", names[0], "--reviewers", names[1])
    refused = east.run("agentmesh", "review", "show", others.stdout.strip(), check=False)
    assert (refused.returncode, "is west: run the command there." in refused.stderr) == (1, True)
    for host in (middle, east):
        assert json.loads(host.run("agentmesh", "review", "show", review, "--json").stdout) == shown
        elsewhere = host.run("agentmesh", "review", "update", review, check=False)
        assert elsewhere.returncode == 1
        assert f"The home of {review} is west: run the command there." in elsewhere.stderr
        misnamed = host.run("agentmesh", "review", "verdict", review, "pass", check=False)
        assert f"{review} is a review; name your own job in it, as its brief does." in misnamed.stderr


def asks(host: Host, review: str, number: int) -> dict[str, str]:
    """Return the review job of each reviewer in a round, when all have been asked."""

    def parts() -> list[dict[str, Any]]:
        rounds = json.loads(host.run("agentmesh", "review", "show", review, "--json").stdout)["rounds"]
        return list(rounds[number - 1]["asks"]) if len(rounds) == number else []

    eventually(lambda: parts() and all(part.get("is_sent") for part in parts()), "all are asked", parts)
    return {part["reviewer"]["address"]: part["job"] for part in parts()}


def in_pane(host: Host, command: str) -> int:
    """Run a command in the shell of a reviewer's pane, and return its exit code."""
    said = host.outside("said")
    said.unlink(missing_ok=True)
    line = f"cd; {command} >output 2>&1; echo $? >part; mv part said"
    host.run("tmux", "send-keys", "-t", "dev:rev", "C-u", line, "Enter")
    eventually(said.exists, f"{command} ends", lambda: screen(host, "dev:rev"))
    return int(said.read_text())


def inbox(host: Host) -> str:
    """Return every message that a host has got, one after the other."""
    letters = msgspec.json.decode(host.run("agentmesh", "inbox", "--json").stdout, type=list[Letter])
    return "\n".join(letter.message.body for letter in letters)


def make(host: Host, name: str, size: int) -> str:
    content = os.urandom(size)
    host.outside(name).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_goes_over_the_hop(row: Row) -> None:
    west, _, east = row
    wanted = make(west, "five.bin", 5 * 1024 * 1024)
    sent = west.run("notify-pane", "east-dev-box", "--file", "five.bin", timeout=60)
    assert " via middle)" in sent.stdout
    assert digest(east.outside(".agent-inbox/west/five.bin")) == wanted


def test_a_pinned_key_proves_over_the_hop_who_speaks(row: Row) -> None:
    west, middle, east = row
    for other in (west, middle):
        east.run("agentmesh", "peers", "authorize", other.name, "-", stdin=other.outside(".agents/key.pub").read_text())
    east.outside(".agents/config.toml").write_text("[identity]\nrequire_pinned = true\n")
    east.run("agentmesh", "stop")
    start_agent(east)
    sent = west.run("notify-pane", "east-dev-box", "--wait=60", "with my own key", timeout=70)
    assert sent.stdout == "→ east-dev-box (east[dev:0] via middle): with my own key\n"
    letters = msgspec.json.decode(east.run("agentmesh", "inbox", "--json").stdout, type=list[Letter])
    assert letters[-1].origin == Origin("west", "pinned", "middle")
    wanted = make(west, "pinned.bin", 5 * 1024 * 1024)
    west.run("notify-pane", "east-dev-box", "--file", "pinned.bin", timeout=60)
    assert digest(east.outside(".agent-inbox/west/pinned.bin")) == wanted


def test_a_file_goes_on_when_the_agent_in_the_middle_was_killed(network: Network, row: Row) -> None:
    west, middle, east = row
    wanted = make(west, "killed.bin", 12 * 1024 * 1024)
    inbox = east.outside(".agent-inbox/west")
    victim = str(status(middle).pid)
    network.delay("middle", 50)  # a channel's window is 2 MiB a round trip
    try:
        with ThreadPoolExecutor(1) as thread:
            words = ["notify-pane", "east-dev-box", "--file", "killed.bin", "--wait=60"]
            sending = thread.submit(west.run, *words, check=False, timeout=110)
            eventually(
                lambda: any(part.stat().st_size > 1024 * 1024 for part in inbox.glob(".*.part")),
                "a part of it is there",
                network.diagnose,
                60,
            )
            middle.run("kill", "-9", victim)
            assert not (inbox / "killed.bin").exists()
            start_agent(middle)
            sent = sending.result()
    finally:
        network.clear_delay("middle")
    assert (sent.returncode, sent.stderr) == (0, "")
    assert digest(inbox / "killed.bin") == wanted
    log = east.outside(".agents/log/agent.log").read_text()
    assert int(re.findall(r"drop begins .*?from=(\d+)", log)[-1]) > 0


def test_a_host_is_reached_again_when_its_cable_was_cut_and_mended(network: Network, row: Row) -> None:
    west = row[0]
    network.cut("west")
    eventually(lambda: not up(west), "west knows that it is cut off", lambda: status(west))
    network.mend("west")
    assert west.run("notify-pane", "east-dev-box", "--wait=60", "from the mended end", timeout=70).returncode == 0
    eventually(lambda: up(west) == ["middle"], "the link to the peer is back", lambda: status(west))
    assert "the network has changed" in west.outside(".agents/log/agent.log").read_text()


def up(host: Host) -> list[str]:
    return [peer.host for peer in status(host).peers if peer.state == "up"]
