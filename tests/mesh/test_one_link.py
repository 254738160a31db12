"""Two hosts that dial each other: one link remains, and what is under way meanwhile arrives once."""

import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost, befriend

pytestmark = pytest.mark.tmux

CLAUDE = Path(__file__).parent / "programs" / "claude.py"

Pair = tuple[LocalHost, LocalHost]


@pytest.fixture
def meeting(root: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Yield two hosts, of which only the second can dial the other so far."""
    with ExitStack() as life:
        folder = root / f"{abs(hash(request.node.name)) % 10**6}"
        hosts = LocalHost("alpha", folder), LocalHost("beta", folder)
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts, deaf=["beta"])
        yield hosts


def links(host: LocalHost) -> int:
    """Return how many links a host has, by its log."""
    return sum(host.log.count(f"{event} peer=") * sign for event, sign in COUNTED.items())


COUNTED = {"link is up": 1, "link is down": -1, "link is left": -1}


def test_one_link_remains_and_nothing_under_way_is_lost_or_doubled(meeting: Pair) -> None:
    alpha, beta = meeting
    for host in meeting:
        host.open("box", sys.executable, CLAUDE, host.home / "box.log", "plain")
    eventually(lambda: "beta-dev-box" in alpha.addresses(), "alpha knows the pane")
    eventually(lambda: "alpha-dev-box" in beta.addresses(), "beta knows the pane")
    assert (links(alpha), links(beta)) == (1, 1)
    is_over = threading.Event()

    def keep_sending(one: LocalHost, other: LocalHost) -> list[str]:
        sent: list[str] = []
        while not is_over.is_set() or len(sent) < 10:
            sent.append(f"{one.name} {len(sent)}")
            assert one.notify(f"{other.name}-dev-box", sent[-1], "--wait=60").returncode == 0
        return sent

    with ThreadPoolExecutor(2) as threads:
        flows = [threads.submit(keep_sending, alpha, beta), threads.submit(keep_sending, beta, alpha)]
        eventually(lambda: all((host.home / "box.log").exists() for host in meeting), "messages flow")
        befriend(meeting)
        try:
            eventually(lambda: "link is left" in alpha.log and "link is left" in beta.log, "one link is left")
        finally:
            is_over.set()
        sent_by_alpha, sent_by_beta = (flow.result() for flow in flows)
    assert submitted(beta) == sent_by_alpha
    assert submitted(alpha) == sent_by_beta
    for host in meeting:
        eventually(lambda host=host: links(host) == 1, "one link remains", lambda host=host: host.log)  # type: ignore[misc]
        assert host.all_up()
        assert "link is down" not in host.log


def test_the_host_that_was_spared_dials_when_the_other_is_gone_and_back(meeting: Pair) -> None:
    alpha, beta = meeting
    befriend(meeting)
    for host in meeting:
        eventually(lambda host=host: "link is left" in host.log, "one link remains", lambda host=host: host.log)  # type: ignore[misc]
    alpha.keep_port()
    alpha.kill()
    eventually(lambda: not beta.all_up(), "beta knows that alpha is gone", beta.status)
    (alpha.home / ".ssh" / "config").unlink()
    alpha.start()
    eventually(beta.all_up, "beta has dialled alpha", beta.status)
    (beta.home / "data.bin").write_bytes(b"x" * 100_000)
    assert beta.notify("alpha-dev-first", "--file", "data.bin").returncode == 0


def submitted(host: LocalHost) -> list[str]:
    """Return the bodies that the program in a host's box was given."""
    lines = [json.loads(line) for line in (host.home / "box.log").read_text().splitlines()]
    return [line.partition("] ")[2] for line in lines]
