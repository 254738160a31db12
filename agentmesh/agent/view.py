"""Follow the view of the mesh: keep the links that it asks for, and let those go that were dialled on demand."""

import asyncio

from agentmesh.agent.links import Links
from agentmesh.core.view import in_ring

SEEK_SECONDS = 10.0
"""How long one host is sought, and how long after a loss that begins: most are back by themselves."""


IDLE_SECONDS = 60.0
"""How long a link that was dialled on demand is kept unused: what is told to all is told over each link."""


class Keeper:
    """Looks anew whom to keep links to whenever it is known anew who lives, or a peer could not be dialled."""

    def __init__(self, alias: str, full: int, links: Links) -> None:
        self._alias = alias
        self._full = full
        self._links = links
        self._lived: set[str] = set()
        self._sought = ""
        links.on_change = links.gossip.on_ways = self.follow

    def follow(self) -> None:
        """Keep links to the hosts of the view, and to those that nobody else has a link to."""
        live = self._links.gossip.ways.keys()
        self._links.forgive(live - self._lived)
        self._lived = set(live)
        failures = self._links.failures
        ring = in_ring({self._alias, *failures})
        kept = ring.view(self._alias, failures, self._full)
        self._links.gossip.ring = ring if len(kept) < len(failures) else None
        if self._sought in failures.keys() - live:
            kept.add(self._sought)
        bridges = {host for host in self._links.dialled - kept if not self._links.gossip.is_spare(host)}
        self._links.keep(kept | bridges)

    async def keep_seeking(self) -> None:
        """Seek a host that nobody is known to have a link to, another one after a while."""
        while True:
            await asyncio.sleep(SEEK_SECONDS)
            failures = self._links.failures
            self._sought = in_ring({self._alias, *failures}).sought(self._alias, failures, self._lived)
            if self._sought:
                self.follow()

    async def keep_sweeping(self, interval: float) -> None:
        """Close the links outside of the view that were not used for a while: ``interval`` seconds at most."""
        while True:
            await asyncio.sleep(min(interval, IDLE_SECONDS))
            await self._links.close_idle()
