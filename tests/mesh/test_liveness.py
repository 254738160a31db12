"""Who lives in a chain of hosts: each with its real gossip and replica, and wires that the test joins and cuts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from agentmesh.agent.gossip import Gossip
from agentmesh.agent.replication import Replica
from agentmesh.agent.tasks import Tasks
from agentmesh.config import Paths
from agentmesh.core.identity import Identity
from agentmesh.core.liveness import Way
from agentmesh.core.model import Origin
from agentmesh.core.wire import NEWEST_PROTOCOL, ContactsNews, Frame, SliceNews, Summary
from agentmesh.errors import Unreachable
from agentmesh.store.database import open_database
from tests.eventually import eventually_async
from tests.mesh.identity import identities_in

NAMES = "abcde"


class Town:
    """The hosts of a chain, and the links between them."""

    def __init__(self) -> None:
        self.replicas: dict[str, Replica] = {}
        self.gossips: dict[str, Gossip] = {}
        self.links: set[frozenset[str]] = set()

    async def settle(self, name: str, folder: Path, life: AsyncExitStack) -> None:
        """Add a host."""
        database = await life.enter_async_context(open_database(folder / f"{name}.db"))
        tasks = await life.enter_async_context(Tasks())
        replica = self.replicas[name] = Replica(
            Paths(folder / name), name, database, identities_in(folder / name, name)
        )
        await replica.load([other for other in NAMES if other != name], new_epoch=True)

        async def tell(host: str, *frames: Frame) -> None:
            if frozenset((name, host)) not in self.links:
                raise Unreachable(host=host, reason="cut")
            await asyncio.sleep(0)
            for frame in frames:
                match frame:
                    case SliceNews(part, seal):
                        await self.gossips[host].learn(part, Origin(name, Identity.CLAIMED), seal)
                    case Summary():
                        self.gossips[host].compare(name, frame)
                    case ContactsNews():
                        self.gossips[host].chart(name, frame)

        self.gossips[name] = Gossip(name, replica, tasks, tell)

    def join(self, one: str, other: str) -> None:
        self.links.add(frozenset((one, other)))
        self.gossips[one].join(other, NEWEST_PROTOCOL)
        self.gossips[other].join(one, NEWEST_PROTOCOL)

    def die(self, name: str) -> None:
        """End a host without a word: its neighbours notice, and nobody else."""
        for link in [link for link in self.links if name in link]:
            self.links.remove(link)
            (other,) = link - {name}
            self.gossips[other].part(name, linked=False)

    async def eventually_live(self, at: str, hosts: str) -> None:
        gossip = self.gossips[at]
        await eventually_async(lambda: set(gossip.ways) == set(hosts), f"{at} sees {hosts} live", lambda: gossip.ways)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """Yield a chain of five hosts."""
    async with AsyncExitStack() as life:
        made = Town()
        for name in NAMES:
            await made.settle(name, tmp_path, life)
        for one, other in pairwise(NAMES):
            made.join(one, other)
        yield made


async def test_the_far_end_of_a_chain_lives_until_it_dies_without_a_word(town: Town) -> None:
    await town.eventually_live("a", "bcde")
    assert town.gossips["a"].ways["e"] == Way("b", 4)
    assert town.replicas["a"].states["e"] == "live via b"
    town.die("e")
    await town.eventually_live("a", "bcd")
    assert town.replicas["a"].states["e"].startswith("stale since ")


async def test_who_is_beyond_a_host_that_dies_is_gone_and_is_back_over_another_way(town: Town) -> None:
    await town.eventually_live("a", "bcde")
    town.die("c")
    await town.eventually_live("a", "b")
    await town.eventually_live("e", "d")
    town.join("b", "e")
    await town.eventually_live("a", "bde")
    assert town.gossips["a"].ways["d"] == Way("b", 3)
