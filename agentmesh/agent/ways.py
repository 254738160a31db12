"""The ways to other hosts: the links that there are, and the neighbours that say they have one and might relay."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from agentmesh.agent.gossip import Gossip
from agentmesh.agent.link import Link
from agentmesh.agent.log import log
from agentmesh.agent.replication import Replica
from agentmesh.agent.tasks import Tasks
from agentmesh.core.wire import Frame, spoken_from
from agentmesh.errors import TooOld, Unreachable

FIRST_PAUSE_SECONDS = 1.0
LAST_PAUSE_SECONDS = 60.0
"""How long a neighbour isn't asked again that did not open the way to a host; it doubles each time."""


class Ways:
    """Knows each link that frames can be sent over, and tells the gossip and those who wait of each change."""

    def __init__(self, alias: str, replica: Replica, tasks: Tasks, on_loss: Callable[[Link], None]) -> None:
        self._alias = alias
        self.gossip = Gossip(alias, replica, tasks, self.send_directly)
        self._tasks = tasks
        self._on_loss = on_loss
        self._links: dict[str, list[Link]] = {}
        self._pauses: dict[tuple[str, str], float] = {}
        self._resting: set[tuple[str, str]] = set()
        self._changed = asyncio.Event()

    def add(self, link: Link) -> None:
        """Use a link from now on."""
        self._links.setdefault(link.host, []).append(link)
        if not link.via:
            self.gossip.join(link.host, link.protocol)
        log.info("link is up", peer=link.host, **({"via": link.via} if link.via else {}))
        self.look_again()

    def remove(self, link: Link, *, lost: bool) -> None:
        """Use a link no more; ``lost``: what was on its way over it may be lost with it."""
        links = self._links.get(link.host, [])
        if link in links:
            self._links[link.host] = [kept for kept in links if kept is not link]
            if not self._links[link.host]:
                del self._links[link.host]
            log.info("link is down" if lost else "link is left", peer=link.host)
            linked = self.has_link(link.host)
            if not link.via and (lost or not linked):
                self.gossip.part(link.host, linked=linked)
        elif lost and not link.via and self.has_link(link.host):
            self.gossip.part(link.host, linked=True)
        if lost:
            self._on_loss(link)
        self.look_again()

    def direct(self, host: str) -> list[Link]:
        """Return the direct links to a host, the newest first: of an older one the end may not be known yet."""
        return [link for link in reversed(self._links.get(host, [])) if not link.via]

    def all_direct(self) -> list[Link]:
        """Return every direct link."""
        return [link for links in self._links.values() for link in links if not link.via]

    def best(self, host: str) -> list[Link]:
        """Return the links to a host in the order in which they are to be tried: those over another host come last."""
        return self.direct(host) + [link for link in reversed(self._links.get(host, [])) if link.via]

    def has_link(self, host: str) -> bool:
        """Tell whether there is a direct link to a host."""
        return bool(self.direct(host))

    def is_dialled_by(self, host: str) -> bool:
        """Tell whether a host of a lower alias has dialled this one: where both sides dial, that link is kept."""
        return host < self._alias and any(not link.is_ours and link.can_invite for link in self.direct(host))

    def spare(self, host: str) -> list[Link]:
        """Return the links to a host that this one has dialled in vain."""
        return [link for link in self.direct(host) if link.is_ours] if self.is_dialled_by(host) else []

    def relays(self, host: str) -> list[str]:
        """Return the neighbours that may be asked to relay to a host."""
        return [
            near
            for near in self.gossip.neighbours_of(host)
            if (host, near) not in self._resting and any(link.can_invite for link in self.direct(near))
        ]

    def rest(self, host: str, relay: str) -> None:
        """Don't ask a neighbour for a while that did not open the way to a host."""
        pause = self._pauses.get((host, relay), FIRST_PAUSE_SECONDS)
        self._pauses[host, relay] = min(2 * pause, LAST_PAUSE_SECONDS)
        self._resting.add((host, relay))

        def end() -> None:
            self._resting.discard((host, relay))
            self.look_again()

        self._tasks.call_later(pause, end)

    def trust(self, host: str, relay: str) -> None:
        """Ask a neighbour soon again, should it fail the next time: it has opened the way to a host."""
        self._pauses.pop((host, relay), None)

    def look_again(self) -> None:
        """Let those who wait for a way see whether it is there."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, is_there: Callable[[], bool]) -> None:
        """Wait for a condition on the ways."""
        while not is_there():
            await self._changed.wait()

    async def send(self, host: str, frame: Frame) -> Link:
        """Send a frame over the best link to a host; returns that. Raises Unreachable."""
        return await self._send_over(self.best(host), host, frame)

    async def send_directly(self, host: str, *frames: Frame) -> None:
        """Send frames over a direct link to a host. Raises Unreachable."""
        await self._send_over(self.direct(host), host, *frames)

    @staticmethod
    async def _send_over(links: list[Link], host: str, *frames: Frame) -> Link:
        needed = max(map(spoken_from, frames))
        if links and all(link.protocol < needed for link in links):
            raise TooOld(host=host, reason="its agentmesh is too old for jobs; upgrade it there")
        for link in links:
            with suppress(OSError):
                await link.send(*frames)
                return link
        raise Unreachable(host=host, reason="the link broke just now")
