"""A neighbour that listens: what is known of what it knows, and what it is still to be told."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import TypeVar

from agentmesh.agent.replication import Replica
from agentmesh.core.gossip import News, knowing, lacks, newcomer, summed_up
from agentmesh.core.model import Contacts, Slice
from agentmesh.core.wire import ContactsNews, Frame, Held, Summary

CONTACTS_TOGETHER = 50
"""How many hosts' contacts one frame may tell of."""
N = TypeVar("N", Slice, Contacts)


class Ear:
    """What is owed is hosts, not slices: of a host whose news change meanwhile it is told the newest alone."""

    def __init__(self, host: str, protocol: int) -> None:
        self.neighbour = newcomer(host, protocol)
        self.owes_summary = False
        self.owes_links = False
        self.owes_held = False
        self.owing = asyncio.Event()
        """Set whenever there may be something to tell."""
        self._slices: set[str] = set()
        self._contacts: set[str] = set()
        self._left_slices: set[str] = set()
        self._left_contacts: set[str] = set()
        self._says_left = False
        self._asks: Held | None = None

    def owe(self, part: News) -> None:
        """Tell it these news."""
        (self._slices if isinstance(part, Slice) else self._contacts).add(part.host)
        self.owing.set()

    def leave(self, part: News) -> None:
        """Leave it to others to tell these news, until `say_left`."""
        (self._left_slices if isinstance(part, Slice) else self._left_contacts).add(part.host)

    def say_left(self) -> None:
        """Say what is held here of what was left to others, as far as it isn't known to be there."""
        self._says_left = True
        self.owing.set()

    def ask(self, held: Held) -> None:
        """Ask it for what it has newer, besides what it is still to be asked for."""
        before = self._asks or Held()
        self._asks = Held({**before.slices, **held.slices}, {**before.contacts, **held.contacts})
        self.owing.set()

    def next(self, links: Iterable[str], contacts: Mapping[str, Contacts], replica: Replica) -> Frame | None:
        """Return what it is to be told next, which counts as told; None when that is nothing."""
        if self.owes_summary or self.owes_links:
            slices = summed_up(replica.registry) if self.owes_summary else None
            self.owes_summary = self.owes_links = False
            return Summary(tuple(sorted(links)), slices)
        if self.owes_held:
            self.owes_held = False
            return ContactsNews(held=summed_up(contacts))
        if self._asks:
            asks, self._asks = self._asks, None
            return asks
        while self._slices:
            if self._lacking(replica.registry, [host := self._slices.pop()]):
                return replica.news_of(host)
        while self._contacts:
            hosts = [self._contacts.pop() for _ in range(min(CONTACTS_TOGETHER, len(self._contacts)))]
            if lacking := self._lacking(contacts, hosts):
                return ContactsNews(tuple(lacking))
        if self._says_left:
            self._says_left = False
            held = Held(
                summed_up({part.host: part for part in self._lacking(replica.registry, self._left_slices)}),
                summed_up({part.host: part for part in self._lacking(contacts, self._left_contacts)}),
            )
            self._left_slices, self._left_contacts = set(), set()
            if held != Held():
                return held
        return None

    def _lacking(self, known: Mapping[str, N], hosts: Iterable[str]) -> list[N]:
        """Return what it lacks of the news of some hosts; that counts as told."""
        lacking = [known[host] for host in hosts if host in known and lacks(self.neighbour, known[host])]
        for part in lacking:
            self.neighbour = knowing(self.neighbour, part)
        return lacking
