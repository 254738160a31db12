"""Gossip with the neighbours: each is sent what it lacks of the registry, by a task of its own, as fast as it takes it.

What is still to be sent is a set of hosts, not of slices: a neighbour that is slow gets the newest of each.
"""

import asyncio
from collections.abc import Awaitable, Callable

from agentmesh.agent.log import log
from agentmesh.agent.replication import Replica
from agentmesh.agent.tasks import Tasks
from agentmesh.core.gossip import knowing, newcomer, summarised, summed_up, wants, ways
from agentmesh.core.model import Slice
from agentmesh.core.wire import Frame, SliceNews, Summary
from agentmesh.errors import ProtocolError, Unreachable

LINKS_SECONDS = 0.2
"""How long changes of links, ours and others', are gathered before anything follows: many come up together."""

Tell = Callable[[str, Frame], Awaitable[None]]
"""Sends a frame to a neighbour over a link that lives. Raises Unreachable, ProtocolError."""


class _Ear:
    """A neighbour, and what it is still to be told."""

    def __init__(self, host: str, *, summarises: bool) -> None:
        self.neighbour = newcomer(host, summarises=summarises)
        self.summarises = summarises
        self.owes_summary = False
        self.owes_links = False
        self.hosts: set[str] = set()
        self.owing = asyncio.Event()


class Gossip:
    """Keeps every neighbour's registry up to this host's, and knows who lives."""

    def __init__(self, alias: str, replica: Replica, tasks: Tasks, tell: Tell) -> None:
        self._alias = alias
        self._replica = replica
        self._tasks = tasks
        self._tell = tell
        self._ears: dict[str, _Ear] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._links_told: list[str] = []
        self._links_timer: asyncio.TimerHandle | None = None
        replica.on_change = self._offer

    def join(self, host: str, *, summarises: bool) -> None:
        """Trade summaries with a host that a link has come up to, be it the first or one more."""
        if host not in self._ears:
            ear = self._ears[host] = _Ear(host, summarises=summarises)
            self._telling[host] = self._tasks.start_supervised(f"tell {host}", self._keep_telling(ear))
            self._links_changed()
        self._summarise(self._ears[host])

    def part(self, host: str, *, linked: bool) -> None:
        """Learn that a link to a host has ended, and with it what was on its way; ``linked``: there is another."""
        if linked:
            self._summarise(self._ears[host])
        else:
            del self._ears[host]
            self._telling.pop(host).cancel()
            self._links_changed()

    def summarise(self) -> None:
        """Trade summaries with all neighbours."""
        for ear in self._ears.values():
            self._summarise(ear)

    async def keep_summarising(self, interval: float) -> None:
        """Do that again and again: whatever was lost or refused before is made good."""
        while True:
            await asyncio.sleep(interval)
            self.summarise()

    def neighbours_of(self, host: str) -> list[str]:
        """Return the neighbours that say they have a link to a host."""
        return sorted(near for near, ear in self._ears.items() if host in ear.neighbour.links)

    async def learn(self, part: Slice, source: str) -> None:
        """Take in a slice that a neighbour has sent."""
        if ear := self._ears.get(source):
            ear.neighbour = knowing(ear.neighbour, part)
        await self._replica.learn(part, source)

    def compare(self, host: str, summary: Summary) -> None:
        """Send a neighbour what it lacks, going by its summary."""
        if ear := self._ears.get(host):
            before, ear.neighbour = ear.neighbour, summarised(ear.neighbour, summary)
            self._offer(*self._replica.registry, ears=[ear])
            if ear.neighbour.links != before.links:
                self._links_changed()

    def _summarise(self, ear: _Ear) -> None:
        if not ear.summarises:  # it will not say what it lacks: it is sent everything again
            ear.neighbour = newcomer(ear.neighbour.host, summarises=False)
            self._offer(*self._replica.registry, ears=[ear])
        ear.owes_summary = True
        ear.owing.set()

    def _offer(self, *hosts: str, ears: "list[_Ear] | None" = None) -> None:
        """See which neighbours want the slices of these hosts."""
        parts = [part for host in hosts if (part := self._replica.registry.get(host))]
        for ear in self._ears.values() if ears is None else ears:
            if wanted := {part.host for part in parts if wants(ear.neighbour, part, self._alias)}:
                ear.hosts |= wanted
                ear.owing.set()

    def _links_changed(self) -> None:
        if self._links_timer is None:
            self._links_timer = asyncio.get_running_loop().call_later(LINKS_SECONDS, self._note_links)

    def _note_links(self) -> None:
        """Note who lives, and tell the neighbours of our own links where those have changed."""
        self._links_timer = None
        self._replica.set_ways(ways(ear.neighbour for ear in self._ears.values()))
        links = sorted(self._ears)
        if links != self._links_told:
            self._links_told = links
            for ear in self._ears.values():
                ear.owes_links = True
                ear.owing.set()

    async def _keep_telling(self, ear: _Ear) -> None:
        host = ear.neighbour.host
        while True:
            await ear.owing.wait()
            ear.owing.clear()
            while (frame := self._next(ear)) is not None:
                try:
                    await self._tell(host, frame)
                except Unreachable:
                    pass  # its conversation ends by itself, and says so
                except ProtocolError as error:
                    of = frame.slice.host if isinstance(frame, SliceNews) else self._alias
                    log.error("slice not sent: the peer keeps the one before", peer=host, host=of, reason=error)

    def _next(self, ear: _Ear) -> Frame | None:
        """Return what a neighbour is to be told next; it counts as told."""
        if ear.owes_summary or ear.owes_links:
            slices = summed_up(self._replica.registry) if ear.owes_summary else None
            ear.owes_summary = ear.owes_links = False
            return Summary(tuple(sorted(self._ears)), slices)
        while ear.hosts:
            part = self._replica.registry.get(ear.hosts.pop())
            if part is not None and wants(ear.neighbour, part, self._alias):
                ear.neighbour = knowing(ear.neighbour, part)
                return SliceNews(part)
        return None
