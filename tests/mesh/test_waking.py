"""What counts as having slept, or as another network."""

from collections.abc import Sequence

import pytest

from agentmesh.adapters.network import network
from agentmesh.agent.waking import LOOK_SECONDS, keep_noticing

Network = tuple[object, ...]
HERE: Network = (("eth0", 1), "10.0.0.2")
ELSEWHERE: Network = (("eth0", 1), "192.168.1.7")


class Over(Exception):
    """The readings have come to their end."""


async def wakes(pauses: Sequence[float], networks: Sequence[Network]) -> int:
    """Return how often it is noticed in looks that each come so many seconds late, and see these networks."""
    readings = iter([moment for pause in pauses for moment in (0.0, LOOK_SECONDS + pause)])
    seen = iter([HERE, *networks])
    noticed: list[bool] = []

    def clock() -> float:
        if (moment := next(readings, None)) is None:
            raise Over
        return moment

    with pytest.raises(Over):
        await keep_noticing(lambda: noticed.append(True), clock, lambda: next(seen))
    return len(noticed)


async def test_a_host_that_is_awake_where_it_was_is_left_alone() -> None:
    assert await wakes([0.0, 2.0], [HERE, HERE]) == 0


async def test_a_sleep_is_noticed_once() -> None:
    assert await wakes([3600.0, 0.0], [HERE, HERE]) == 1


async def test_a_change_of_the_network_is_noticed_there_and_back() -> None:
    assert await wakes([0.0, 0.0, 0.0], [ELSEWHERE, ELSEWHERE, HERE]) == 2


def test_the_same_network_looks_the_same() -> None:
    assert network() == network()
    assert [part[0] for part in network() if isinstance(part, tuple)].count("lo") == 1
