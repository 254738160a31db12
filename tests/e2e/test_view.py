"""Eight real agents that keep links to few others: one is dialled on demand, and left when it isn't needed any more."""

import msgspec
import pytest

from agentmesh.core.status import Status
from tests.bench.crowd import Crowd, crowd
from tests.bench.growth import start
from tests.e2e.hosts import obstacle
from tests.eventually import eventually

pytestmark = pytest.mark.hosts

SETTINGS = "[mesh]\nfull = 3\n[sync]\ninterval = 1.0\n"


def hosts(made: Crowd, state: str) -> set[str]:
    status = msgspec.json.decode(made.run("agentmesh", "status", "--json"), type=Status)
    return {peer.host for peer in status.peers if peer.state == state}


def test_a_host_is_dialled_on_demand_and_left_when_it_is_not_needed_any_more() -> None:
    if reason := obstacle():
        pytest.skip(reason)
    with crowd(8, SETTINGS) as made:
        start(made)
        eventually(lambda: len(hosts(made, "idle")) == 2, "two of seven are left to others", lambda: hosts(made, "up"))
        other = next(member for member in made.members if member.alias in hosts(made, "idle"))
        said = made.run("notify-pane", other.address(), "on demand")
        assert "on demand" in said
        assert "on demand" in other.tmux.screen("dev:0")
        log = made.first.home / ".agents" / "log" / "agent.log"
        for event in ("link is up", "link is left"):
            eventually(lambda event=event: f"{event} peer={other.alias}\n" in log.read_text(), event, log.read_text)  # type: ignore[misc]
        eventually(lambda: len(hosts(made, "idle")) == 2, "it is left to others again", lambda: hosts(made, "up"))
        assert "on demand, too" in made.run("notify-pane", other.address(), "on demand, too")
