"""Who lives: the links that each host tells of, and the ways that lead from here through them. Pure.

A host's list of its links is told by that host alone, under a version, and passed on as its slice is. It lives in
memory: what it says is true only while somebody says it.
"""

import hashlib
from collections.abc import Collection, Mapping

import msgspec

from agentmesh.core.model import LAST_ORDINAL, Contacts, Version


class Way(msgspec.Struct, frozen=True):
    """How a host is reached."""

    via: str
    """The neighbour through which the shortest way leads; empty when there is a link to the host itself."""
    hops: int
    """Links to cross: 1 for a neighbour, 2 for a host that a neighbour has a link to."""


def contacts(host: str, epoch: int, counter: int, links: Collection[str]) -> Contacts:
    """Return what a host tells of its links.

    >>> contacts("hub", 3, 1, {"c", "b"})
    Contacts(host='hub', version=Version(epoch=3, counter=1, digest='47d8a4a8'), links=('b', 'c'))
    """
    names = tuple(sorted(links))
    return Contacts(host, Version(epoch, counter, hashlib.sha256(" ".join(names).encode()).hexdigest()[:8]), names)


def next_contacts(told: Contacts, epoch: int, links: Collection[str], heard: Version | None = None) -> Contacts:
    """Return what a host tells when its links have changed, or when it has ``heard`` of a list of its own.

    The same one when there is nothing new to tell: no change, and nothing newer heard that there are numbers above.
    """
    if set(links) == set(told.links) and (heard is None or heard <= told.version):
        return told
    highest = max(told.version, heard or told.version)
    if epoch > highest.epoch:
        return contacts(told.host, epoch, 0, links)
    if highest.counter < LAST_ORDINAL:
        return contacts(told.host, highest.epoch, highest.counter + 1, links)
    if highest.epoch < LAST_ORDINAL:
        return contacts(told.host, highest.epoch + 1, 0, links)
    return told


def ways(own: str, near: Mapping[str, Collection[str]], told: Mapping[str, Contacts]) -> dict[str, Way]:
    """Return how each host that lives is reached from here.

    ``near`` is each neighbour, and the links that it says it has; ``told`` what hosts near and far tell of theirs.
    A link counts when one end tells of it and the other doesn't deny it: a host that has died without a word still says
    that it has links, but those it had them to don't.

    >>> told = {"b": contacts("b", 1, 0, {"a", "c"}), "c": contacts("c", 1, 0, {"b", "d"})}
    >>> sorted(ways("a", {"b": ()}, told).items())
    [('b', Way(via='', hops=1)), ('c', Way(via='b', hops=2)), ('d', Way(via='b', hops=3))]
    """
    agreed = {host: frozenset(part.links) for host, part in told.items()}
    links = {**near, **agreed}
    found = {own: Way("", 0)} | {host: Way("", 1) for host in sorted(near)}
    edge = sorted(near)
    while edge:
        beyond = []
        for host in edge:
            way = Way(found[host].via or host, found[host].hops + 1)
            for other in sorted(links.get(host, ())):
                if other not in found and (other not in agreed or host in agreed[other]):
                    found[other] = way
                    beyond.append(other)
        edge = beyond
    del found[own]
    return found


def is_spare(host: str, own: str, near: Mapping[str, Collection[str]], told: Mapping[str, Contacts]) -> bool:
    """Tell whether a neighbour would still be reached if the link to it weren't there."""
    others = {name: links for name, links in near.items() if name != host}
    return host in ways(own, others, told)
