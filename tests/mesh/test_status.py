"""agentmesh status and log: how the agent is, what waits, what went wrong, and what it writes from now on."""

import signal
import subprocess

import pytest

from agentmesh.core.address import Address
from tests.eventually import eventually
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux

Pair = tuple[LocalHost, LocalHost]


def test_status_tells_of_peers_queues_and_troubles_at_a_glance(pair: Pair) -> None:
    left, right = pair
    right.open("busy", "bash", "-c", "read -s x")
    address = Address("right-dev-busy")
    eventually(lambda: address in left.addresses(), "left knows the pane", left.addresses)
    assert left.notify(address, "--queue", "for later").returncode == 0
    eventually(lambda: right.status().waiting == {address: 1}, "it waits there", right.status)
    seen = left.status()
    assert seen.outbox == {"right": 1}
    assert seen.peers[0].latency is not None
    (left.agents / "peers.conf").write_text("right\nnowhere.invalid\n")
    eventually(lambda: left.status().troubles, "the trouble is told", left.status)
    told = left.run("agentmesh", "status").stdout
    assert "waiting: 1 for right" in told
    assert "ago: peer is down peer=nowhere.invalid reason=" in told
    (row,) = [line.split() for line in told.splitlines() if line.startswith("right ")]
    assert row[1] == "up"
    assert row[-1] == "ms"
    (left.agents / "peers.conf").write_text("right\n")
    assert "waiting: 1 for right-dev-busy" in right.run("agentmesh", "status").stdout


def test_the_log_is_followed_over_its_rotation(fresh: LocalHost) -> None:
    log = fresh.agents / "log" / "agent.log"
    log.parent.mkdir()
    log.with_name("agent.log.1").write_text("a first\nb second\n")
    log.write_text("b third\n")
    words = ["agentmesh", "log", "-f", "-n", "2", "b "]
    following = subprocess.Popen(words, env=fresh.environment, stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None
    try:
        assert [following.stdout.readline() for _ in range(2)] == ["b second\n", "b third\n"]
        with log.open("a") as file:
            file.write("a fourth\nb fif")
            file.flush()
            file.write("th\n")
        assert following.stdout.readline() == "b fifth\n"
        log.rename(log.with_name("agent.log.1"))
        log.write_text("b sixth\n")
        assert following.stdout.readline() == "b sixth\n"
    finally:
        following.send_signal(signal.SIGINT)
        assert following.communicate(timeout=20)[0] == ""
        assert following.returncode == 0
