"""Gossip with the neighbours: each is sent what it lacks of the registry, by a task of its own, as fast as it takes it.

What is still to be sent is a set of hosts, not of slices: a neighbour that is slow gets the newest of each. Who has
links to whom travels the same way, and tells who lives.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from agentmesh.agent.ear import Ear
from agentmesh.agent.log import log
from agentmesh.agent.replication import Replica
from agentmesh.agent.tasks import Tasks
from agentmesh.core.gossip import (
    News,
    asked,
    charted,
    holding,
    is_left,
    knowing,
    lacks,
    newcomer,
    summarised,
    wants,
)
from agentmesh.core.identity import Seal
from agentmesh.core.liveness import Way, contacts, is_spare, next_contacts, ways
from agentmesh.core.model import Contacts, Origin, Slice, Version
from agentmesh.core.wire import ContactsNews, Frame, Held, SliceNews, Summary
from agentmesh.errors import ProtocolError, Unreachable

if TYPE_CHECKING:
    from agentmesh.core.view import Ring

LINKS_SECONDS = 0.2
"""How long changes of links, ours and others', are gathered before anything follows: many come up together."""
LINKS_SECONDS_EACH = 0.05
"""How much longer that may get for each member, while changes follow on changes: each is told to all, by all."""
LEFT_SECONDS = (1.0, 2.0)
"""How long news may take that are left to others, before it is said what is held here; drawn between these: who says it
first saves the other the trouble."""

TOGETHER = 16
"""How many frames are sent at once: each may have a MiB."""
PAUSE_SECONDS_EACH, LONGEST_PAUSE_SECONDS_EACH = 0.001, 0.01
"""For each member, how long who was told something waits for more; it doubles while more comes meanwhile: when all tell
of all, as when many start, much is said at once."""


class Tell(Protocol):
    """What leads to the neighbours."""

    async def __call__(self, host: str, /, *frames: Frame) -> None:
        """Send frames to a neighbour over a link that lives.

        Raises Unreachable; ProtocolError when one of them can't be sent, and none was.
        """


class Gossip:
    """Keeps every neighbour's registry up to this host's, and knows who lives."""

    def __init__(self, alias: str, replica: Replica, tasks: Tasks, tell: Tell) -> None:
        self._alias = alias
        self._replica = replica
        self._tasks = tasks
        self._tell = tell
        self._ears: dict[str, Ear] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._own = contacts(alias, 0, 0, ())
        self._told: dict[str, Contacts] = {}
        self._notes_links = False
        """Whether it will soon be worked out anew who lives."""
        self._links_seconds = LINKS_SECONDS
        self._links_noted = 0.0
        self.ways: dict[str, Way] = {}
        """How each host that lives is reached."""
        self.on_ways: Callable[[], None] = lambda: None
        """Told when it has been worked out anew who lives."""
        self.kept: AbstractSet[str] | None = None
        """The hosts that links are kept to; None when it is all of them."""
        self.ring: Ring | None = None
        """The members, when nobody keeps links to all of them; else None."""
        self._waits_for_others = False
        replica.on_change = self._offer_slice

    def join(self, host: str, protocol: int) -> None:
        """Trade summaries with a host that a link has come up to, be it the first or one more."""
        if host not in self._ears:
            ear = self._ears[host] = Ear(host, protocol)
            self._telling[host] = self._tasks.start_supervised(f"tell {host}", self._keep_telling(ear))
            self.links_changed()
        self._summarise(self._ears[host])

    def part(self, host: str, *, linked: bool) -> None:
        """Learn that a link to a host has ended, and with it what was on its way; ``linked``: there is another."""
        if linked:
            self._summarise(self._ears[host])
        else:
            del self._ears[host]
            self._telling.pop(host).cancel()
            self.links_changed()

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

    async def learn(self, part: Slice, source: Origin, seal: Seal) -> None:
        """Take in a slice that a neighbour has sent."""
        if (ear := self._ears.get(source.host)) and part.host in self._replica.members:
            ear.neighbour = knowing(ear.neighbour, part)
        await self._replica.learn(part, source, seal)

    def compare(self, host: str, summary: Summary) -> None:
        """Send a neighbour what it lacks, going by its summary."""
        if ear := self._ears.get(host):
            before, ear.neighbour = ear.neighbour, summarised(ear.neighbour, summary)
            self._offer(self._replica.registry.values(), [ear])
            if ear.neighbour.links != before.links:
                self.links_changed()
            own = self._replica.own.version
            if summary.slices and summary.slices.get(self._alias, own) > own:
                self._summarise(ear)  # so that it sends the newer slice of this host that it holds

    def chart(self, host: str, news: ContactsNews) -> None:
        """Take in who has links to whom, as a neighbour tells, and send it what it lacks."""
        ear = self._ears.get(host)
        if ear is None:
            return
        before, ear.neighbour = ear.neighbour, charted(ear.neighbour, news)
        if ear.neighbour.links != before.links:
            self._offer(self._replica.registry.values(), [ear])
        for part in news.contacts:
            if part.host == self._alias:
                self._tell_of_links(part.version)
            elif part.host in self._replica.members:
                known = self._told.get(part.host)
                if known is None or known.version < part.version:
                    self._told[part.host] = part
        self.links_changed()

    def weigh(self, host: str, held: Held) -> None:
        """Ask a neighbour for what it holds newer, and send it what it holds older."""
        ear = self._ears.get(host)
        if ear is None:
            return
        members = self._replica.members
        ear.neighbour = holding(ear.neighbour, held, members)
        slices, charts = self._replica.registry, self._contacts
        for known, hosts in ((slices, held.slices), (charts, held.contacts)):
            for part in (known[host] for host in hosts.keys() & known.keys()):
                if lacks(ear.neighbour, part):
                    ear.owe(part)
        others = members - {self._alias}
        asks = Held(asked(held.slices, slices, others), asked(held.contacts, charts, others))
        if asks.slices or asks.contacts:
            ear.ask(asks)

    def holders(self, host: str) -> list[str]:
        """Return the neighbours that hold a slice of a host: it is in their peers.conf."""
        return sorted(name for name, ear in self._ears.items() if host in (ear.neighbour.holds or {}) and name != host)

    def _summarise(self, ear: Ear) -> None:
        if not ear.neighbour.summarises:  # it will not say what it lacks: it is sent everything again
            ear.neighbour = newcomer(ear.neighbour.host, ear.neighbour.protocol)
            self._offer(self._replica.registry.values(), [ear])
        ear.owes_summary = ear.owes_held = True
        ear.owing.set()

    def _offer_slice(self, host: str) -> None:
        if part := self._replica.registry.get(host):  # unless it was forgotten while it was written
            self._offer([part], self._ears.values())

    def _offer(self, parts: Iterable[News], ears: Collection[Ear]) -> None:
        """See which neighbours want these news, and whether another tells them."""
        for part in parts:
            for ear in ears:
                if not wants(ear.neighbour, part, self._ears):
                    continue
                if self.ring and is_left(ear.neighbour, part, self._alias, self.ring):
                    ear.leave(part)
                    self._wait_for_others()
                else:
                    ear.owe(part)

    def _wait_for_others(self) -> None:
        if not self._waits_for_others:
            self._waits_for_others = True
            seconds = random.uniform(*LEFT_SECONDS)  # noqa: S311 (nobody gains by guessing it)
            self._tasks.call_later(seconds, self._say_left)

    def _say_left(self) -> None:
        self._waits_for_others = False
        for ear in self._ears.values():
            ear.say_left()

    def links_changed(self) -> None:
        """Work out anew, soon, who lives: the less soon, the longer changes have followed on changes."""
        if self._notes_links:
            return
        self._notes_links = True
        if asyncio.get_running_loop().time() - self._links_noted > self._links_seconds:
            self._links_seconds = LINKS_SECONDS
        else:
            most = max(LINKS_SECONDS, LINKS_SECONDS_EACH * len(self._replica.members))
            self._links_seconds = min(2 * self._links_seconds, most)
        self._tasks.call_later(self._links_seconds, self._note_links)

    def _note_links(self) -> None:
        """Note who lives, and tell the neighbours of links that have changed, ours and others'."""
        self._notes_links, self._links_noted = False, asyncio.get_running_loop().time()
        members = self._replica.members
        self._told = {host: part for host, part in self._told.items() if host in members}
        found = ways(self._alias, self._near, self._told)
        self.ways = {host: way for host, way in found.items() if host in self._ears or host in members}
        self._replica.set_ways(self.ways)
        self.on_ways()
        self._tell_of_links()
        self._offer(self._contacts.values(), self._ears.values())

    @property
    def _contacts(self) -> Mapping[str, Contacts]:
        """Who has links to whom, as far as that is known."""
        return {**self._told, self._alias: self._own}

    @property
    def _near(self) -> dict[str, frozenset[str]]:
        return {host: ear.neighbour.links for host, ear in self._ears.items()}

    def is_spare(self, host: str) -> bool:
        """Tell whether a neighbour would still be reached without the link to it."""
        return is_spare(host, self._alias, self._near, self._told)

    def _tell_of_links(self, heard: Version | None = None) -> None:
        """Say which links this host has, where that is news, or somebody has ``heard`` otherwise."""
        before = self._own
        links = [host for host, ear in self._ears.items() if self._lasts(host, ear)]
        self._own = next_contacts(before, self._replica.own.version.epoch, links, heard)
        if self._own.links != before.links:
            for ear in self._ears.values():
                if ear.neighbour.hears is None:
                    ear.owes_links = True
                    ear.owing.set()

    def _lasts(self, host: str, ear: Ear) -> bool:
        """Tell whether a link is kept by either side: of one that was dialled on demand the mesh needn't hear."""
        is_peer = host in self._replica.members
        if self.kept is None or host in self.kept or not is_peer or ear.neighbour.hears is None:
            return True
        told = self._told.get(host)
        return told is not None and self._alias in told.links

    async def _keep_telling(self, ear: Ear) -> None:
        pause = 0.0
        while True:
            pause = 2 * pause if ear.owing.is_set() else 0.0
            await ear.owing.wait()
            ear.owing.clear()
            news: Iterator[Frame] = iter(lambda: ear.next(self._ears, self._contacts, self._replica), None)
            while frames := list(islice(news, TOGETHER)):
                await self._tell_all(ear.neighbour.host, frames)
            members = len(self._replica.members)
            pause = min(max(PAUSE_SECONDS_EACH * members, pause), LONGEST_PAUSE_SECONDS_EACH * members)
            await asyncio.sleep(pause)

    async def _tell_all(self, host: str, frames: Sequence[Frame]) -> None:
        try:
            await self._tell(host, *frames)
        except Unreachable:
            pass  # its conversation ends by itself, and says so
        except ProtocolError as error:
            match frames:
                case [frame]:
                    of = frame.slice.host if isinstance(frame, SliceNews) else self._alias
                    log.error("slice not sent: the peer keeps the one before", peer=host, host=of, reason=error)
                case _:
                    for frame in frames:
                        await self._tell_all(host, [frame])
