"""What one agent tells a neighbour: what it lacks, and doesn't hear from the host that it is about as we do. Pure.

Pushing a change, passing on what another said, and answering a summary are one rule: `wants`. It is the same for slices
and for the lists of links that tell who lives. In a full mesh everybody hears of a change from its host alone; a chain
hears of it link by link. In a mesh of partial views there are many ways to everybody: all but one neighbour leave it to
that one, and say a little later what they hold.
"""

from collections.abc import Collection, Container, Mapping

import msgspec

from agentmesh.core.model import Contacts, Slice, Version
from agentmesh.core.view import Ring
from agentmesh.core.wire import NEWEST_PROTOCOL, SUMMARIES, TREES, ContactsNews, Held, Summary

News = Slice | Contacts
"""What a host tells of itself, and others pass on."""
NOTHING = Version(0, 0, "")
"""The version of what isn't held at all."""


class Neighbour(msgspec.Struct, frozen=True):
    """A host that there is a link to, as far as it is known what it knows."""

    host: str
    protocol: int = NEWEST_PROTOCOL
    """The one that is spoken with it."""
    holds: Mapping[str, Version] | None = None
    """The version of each slice that it has told us, or been told by us; None before its summary."""
    hears: Mapping[str, Version] | None = None
    """The same of each host's contacts; None when it doesn't speak of them."""
    links: frozenset[str] = frozenset()
    """The hosts that it says it has links to."""

    @property
    def summarises(self) -> bool:
        """Whether it sends summaries. One that doesn't holds nothing, as far as is known."""
        return self.protocol >= SUMMARIES


def newcomer(host: str, protocol: int = NEWEST_PROTOCOL) -> Neighbour:
    """Return a host that a link has come up to."""
    return Neighbour(host, protocol, None if protocol >= SUMMARIES else {})


def summed_up(known: Mapping[str, News]) -> dict[str, Version]:
    """Return what is held, as it is told to a neighbour."""
    return {host: part.version for host, part in known.items()}


def wants(neighbour: Neighbour, part: News, links: Container[str]) -> bool:
    """Tell whether a neighbour lacks news that are not left to their host to tell.

    They are where both have a link to that host: ``links`` are ours. Who has none may hold what their host has lost, so
    that only a neighbour of it can say so. Their host is told of them too, should it hold older ones: its disk was
    restored, or somebody lies.
    """
    return lacks(neighbour, part) and not (part.host in neighbour.links and part.host in links)


def lacks(neighbour: Neighbour, part: News) -> bool:
    """Tell whether a neighbour holds older news, or none, going by what has been said."""
    known = neighbour.holds if isinstance(part, Slice) else neighbour.hears
    return known is not None and known.get(part.host, NOTHING) < part.version


def is_left(neighbour: Neighbour, part: News, own: str, ring: Ring) -> bool:
    """Tell whether a host leaves news that a neighbour wants to another neighbour of it, in a mesh of partial views.

    That is the news' own host where there is a link to it, else the one before the neighbour in that host's tree.
    """
    if part.host == own or neighbour.protocol < TREES:
        return False
    teller = part.host if part.host in neighbour.links else ring.teller(part.host, neighbour.host)
    return teller != own and teller in neighbour.links


def knowing(neighbour: Neighbour, part: News) -> Neighbour:
    """Return a neighbour that has sent news, or is being sent them."""
    known = (neighbour.holds if isinstance(part, Slice) else neighbour.hears) or {}
    held = known.get(part.host)
    if held is not None and held >= part.version:
        return neighbour
    known = {**known, part.host: part.version}
    if isinstance(part, Slice):
        return msgspec.structs.replace(neighbour, holds=known)
    return msgspec.structs.replace(neighbour, hears=known)


def summarised(neighbour: Neighbour, summary: Summary) -> Neighbour:
    """Return a neighbour that has sent a summary: what it holds is what it says, whatever it was sent before."""
    holds = neighbour.holds if summary.slices is None else summary.slices
    return msgspec.structs.replace(neighbour, holds=holds, links=frozenset(summary.links))


def charted(neighbour: Neighbour, news: ContactsNews) -> Neighbour:
    """Return a neighbour that has told who has links to whom, itself among them."""
    if news.held is not None:
        neighbour = msgspec.structs.replace(neighbour, hears=news.held)
    for part in news.contacts:
        neighbour = knowing(neighbour, part)
        if part.host == neighbour.host:
            neighbour = msgspec.structs.replace(neighbour, links=frozenset(part.links))
    return neighbour


def holding(neighbour: Neighbour, held: Held, members: Collection[str]) -> Neighbour:
    """Return a neighbour that has said what it holds of some hosts."""
    holds = {host: version for host, version in held.slices.items() if host in members}
    hears = {host: version for host, version in held.contacts.items() if host in members}
    return msgspec.structs.replace(
        neighbour,
        holds=None if neighbour.holds is None else {**neighbour.holds, **holds},
        hears=None if neighbour.hears is None else {**neighbour.hears, **hears},
    )


def asked(held: Mapping[str, Version], known: Mapping[str, News], hosts: Collection[str]) -> dict[str, Version]:
    """Return what is held here of those of these hosts of whom a neighbour holds newer news: so they are asked for.

    >>> asked({"a": Version(1, 2, "d")}, {}, {"a", "b"})
    {'a': Version(epoch=0, counter=0, digest='')}
    """
    ours = {host: known[host].version if host in known else NOTHING for host in held.keys() & hosts}
    return {host: version for host, version in ours.items() if version < held[host]}
