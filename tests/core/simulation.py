"""Hosts that do to each other's registries what agents do, with a wire between them that a test has in its hands."""

from collections.abc import Iterable, Mapping
from itertools import permutations

from agentmesh.core.gossip import (
    Neighbour,
    asked,
    charted,
    holding,
    is_left,
    knowing,
    lacks,
    newcomer,
    summarised,
    summed_up,
    wants,
)
from agentmesh.core.liveness import Way, contacts, next_contacts, ways
from agentmesh.core.model import Contacts, Pane, Slice, Version
from agentmesh.core.registry import Registry, digest, in_epoch, is_outdone, merge, next_slice
from agentmesh.core.view import Ring
from agentmesh.core.wire import ContactsNews, Held, SliceNews, Summary
from tests.core.examples import NOW, a_pane

News = SliceNews | Summary | ContactsNews | Held


class SimulatedHost:
    """An agent's memory and disk, which are one here, and what is in its tmux."""

    def __init__(self, name: str, members: Iterable[str], ring: Ring | None = None) -> None:
        self.name = name
        self.ring = ring
        self.members = {name, *members}
        self.windows = 0
        self.epoch = 0
        self.registry: Registry = {name: Slice(name, Version(0, 0, digest(())), NOW)}
        self.neighbours: dict[str, Neighbour] = {}
        self.start()

    @property
    def own(self) -> Slice:
        return self.registry[self.name]

    @property
    def panes(self) -> tuple[Pane, ...]:
        """What is in tmux."""
        return (a_pane(f"{self.name}-dev-{self.windows}", host=self.name),)

    @property
    def ways(self) -> dict[str, Way]:
        """Who lives, as far as this host knows."""
        return ways(self.name, {host: near.links for host, near in self.neighbours.items()}, self.told)

    def start(self) -> None:
        """Begin a new epoch, and scan."""
        self.neighbours = {}
        self.contacts = contacts(self.name, 0, 0, ())
        self.told: dict[str, Contacts] = {}
        self.epoch += 1
        self.registry = {**self.registry, self.name: in_epoch(self.own, self.epoch, NOW)}
        self._scan()

    def change(self) -> None:
        self.windows += 1
        self._scan()

    def remove(self, host: str) -> None:
        """Take a host out of peers.conf."""
        self.members.discard(host)
        self.registry = {name: part for name, part in self.registry.items() if name != host}
        self.told.pop(host, None)

    def note_links(self, heard: Version | None = None) -> None:
        self.contacts = next_contacts(self.contacts, self.epoch, self.neighbours, heard)

    def summary(self) -> list[News]:
        held = summed_up({**self.told, self.name: self.contacts})
        return [Summary(tuple(self.neighbours), summed_up(self.registry)), ContactsNews(held=held)]

    def news_for(self, host: str) -> list[News]:
        """Return what a neighbour is sent now; it counts as told."""
        near = self.neighbours[host]
        wanted = [part for part in self.known if wants(near, part, self.neighbours) and not self._is_left(host, part)]
        return [self._tell(host, part) for part in wanted]

    @property
    def known(self) -> list[Slice | Contacts]:
        return [*self.registry.values(), self.contacts, *self.told.values()]

    def held_for(self, host: str) -> list[News]:
        """Return what is said later of what was left to others; it counts as told."""
        left = [part for part in self.known if wants(self.neighbours[host], part, self.neighbours)]
        for part in left:
            self.neighbours[host] = knowing(self.neighbours[host], part)
        slices = summed_up({part.host: part for part in left if isinstance(part, Slice)})
        held = Held(slices, summed_up({part.host: part for part in left if isinstance(part, Contacts)}))
        return [held] if left else []

    def answer(self, sender: str, held: Held) -> list[News]:
        """Return what is said to a neighbour that has said what it holds."""
        near = self.neighbours[sender] = holding(self.neighbours[sender], held, self.members)
        named = held.slices.keys(), held.contacts.keys()
        lacking = [part for part in self.known if part.host in named[isinstance(part, Contacts)] and lacks(near, part)]
        news = [self._tell(sender, part) for part in lacking]
        others = self.members - {self.name}
        asks = Held(asked(held.slices, self.registry, others), asked(held.contacts, self.told, others))
        return news if asks == Held() else [*news, asks]

    def _is_left(self, host: str, part: Slice | Contacts) -> bool:
        return self.ring is not None and is_left(self.neighbours[host], part, self.name, self.ring)

    def _tell(self, host: str, part: Slice | Contacts) -> News:
        self.neighbours[host] = knowing(self.neighbours[host], part)
        return SliceNews(part) if isinstance(part, Slice) else ContactsNews((part,))

    def hear(self, sender: str, news: News) -> None:
        match news:
            case Summary():
                self.neighbours[sender] = summarised(self.neighbours[sender], news)
            case SliceNews(part):
                self.neighbours[sender] = knowing(self.neighbours[sender], part)
                self._learn(part)
            case ContactsNews(told):
                self.neighbours[sender] = charted(self.neighbours[sender], news)
                for each in told:
                    self._chart(each)

    def _chart(self, part: Contacts) -> None:
        known = self.told.get(part.host)
        if part.host == self.name:
            self.note_links(part.version)
        elif part.host in self.members and (known is None or known.version < part.version):
            self.told[part.host] = part

    def _learn(self, part: Slice) -> None:
        if part.host == self.name:
            if is_outdone(self.own, part.version):
                self.epoch = max(self.epoch, part.version.epoch) + 1
                self.registry = merge(self.registry, in_epoch(self.own, self.epoch, NOW))
        elif part.host in self.members:
            self.registry = merge(self.registry, part)

    def _scan(self) -> None:
        self.registry = {**self.registry, self.name: next_slice(self.own, self.panes, NOW)}


class Wire:
    """The hosts by name, and the frames between any two that have a link, in the order that they were sent."""

    def __init__(self, names: Iterable[str], rings: Mapping[str, Ring] = {}) -> None:
        names = list(names)
        self.hosts = {name: SimulatedHost(name, names, rings.get(name)) for name in names}
        self.under_way: dict[tuple[str, str], list[News]] = {}
        self.slices_sent: list[tuple[str, str]] = []
        """From whom to whom."""

    def link(self, one: str, other: str) -> None:
        """Bring a link up, or up again: what was on its way is gone."""
        self.cut(one, other)
        for source, target in permutations((one, other)):
            self.hosts[source].neighbours[target] = newcomer(target)
            self.under_way[source, target] = []
            self.hosts[source].note_links()
        for source, target in permutations((one, other)):
            self.summarise(source, target)

    def cut(self, one: str, other: str) -> None:
        for source, target in permutations((one, other)):
            self.under_way.pop((source, target), None)
            self.hosts[source].neighbours.pop(target, None)
            self.hosts[source].note_links()

    def cut_off(self, host: str) -> None:
        for other in self.hosts.keys() - {host}:
            self.cut(host, other)

    def summarise(self, source: str, target: str) -> None:
        self.under_way[source, target] += self.hosts[source].summary()

    def say(self, source: str, target: str) -> None:
        """Send what a host lacks, as far as the other knows."""
        news = self.hosts[source].news_for(target)
        self.under_way[source, target] += news
        self.slices_sent += [(source, target) for part in news if isinstance(part, SliceNews)]

    def say_left(self, source: str, target: str) -> None:
        """Say what a host has left to others."""
        self.under_way[source, target] += self.hosts[source].held_for(target)

    def deliver(self, source: str, target: str, number: int = 0) -> None:
        news = self.under_way[source, target].pop(number)
        if isinstance(news, Held):
            self.under_way[target, source] += self.hosts[target].answer(source, news)
        else:
            self.hosts[target].hear(source, news)

    def settle(self) -> None:
        """Let everything be said and heard; fail if that never ends."""
        for _ in range(1000):
            for pair in self.under_way:
                self.say(*pair)
            if not any(self.under_way.values()):
                for pair in self.under_way:
                    self.say_left(*pair)
            if not any(self.under_way.values()):
                return
            for pair, news in self.under_way.items():
                if news:
                    self.deliver(*pair)
        raise AssertionError(f"they never come to an end: {self.under_way}")

    def settle_links(self, links: Iterable[tuple[str, str]]) -> None:
        """Have these links and no others, known to all neighbours, and let everything be said and heard."""
        wanted = {(min(link), max(link)) for link in links}
        up = {(min(pair), max(pair)) for pair in self.under_way}
        for link in sorted(up - wanted):
            self.cut(*link)
        for link in sorted(wanted - up):
            self.link(*link)
        for pair in self.under_way:
            self.under_way[pair].clear()
            self.summarise(*pair)
        self.settle()
