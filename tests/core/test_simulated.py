"""The simulation of large meshes sends what core's own rules send."""

import pytest

from agentmesh.core.view import in_ring
from tests.bench.simulated import after_a_cold_start, after_one_change, graph
from tests.core.simulation import Wire

SIZE = 12
RING = in_ring(f"host-{number:05}" for number in range(SIZE))
HOSTS = RING.hosts


def settled(near: list[list[int]]) -> Wire:
    wire = Wire(HOSTS, {} if len(near[0]) == SIZE - 1 else dict.fromkeys(HOSTS, RING))
    wire.settle_links({(HOSTS[one], HOSTS[other]) for one in range(SIZE) for other in near[one]})
    wire.slices_sent.clear()
    return wire


def run_in_rounds(wire: Wire) -> int:
    """Let everybody tell all neighbours, then everybody hear it, until nobody has more to say."""
    rounds = 0
    while True:
        before = len(wire.slices_sent)
        for pair in wire.under_way:
            wire.say(*pair)
        if len(wire.slices_sent) == before:
            return rounds
        held = [host.registry for host in wire.hosts.values()]
        for pair, news in wire.under_way.items():
            while news:
                wire.deliver(*pair)
        rounds += held != [host.registry for host in wire.hosts.values()]


@pytest.mark.parametrize("full", [2, SIZE])
def test_a_change_takes_as_many_slices_and_rounds_as_by_core_itself(full: int) -> None:
    near = graph(SIZE, full)
    wire = settled(near)
    wire.hosts[HOSTS[0]].change()
    simulated = after_one_change(near)
    assert simulated.is_whole
    assert run_in_rounds(wire) == simulated.rounds
    assert len(wire.slices_sent) == sum(simulated.told)


@pytest.mark.parametrize("full", [2, SIZE])
def test_changes_of_all_take_as_many_slices_and_rounds_as_by_core_itself(full: int) -> None:
    near = graph(SIZE, full)
    wire = settled(near)
    for host in wire.hosts.values():
        host.change()
    simulated = after_a_cold_start(near)
    assert run_in_rounds(wire) == simulated.rounds
    assert len(wire.slices_sent) == sum(simulated.told)
