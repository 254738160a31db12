"""What one agent tells a neighbour: what it lacks, and doesn't hear from the host that it is about as we do. Pure.

Pushing a change, passing on what another said, and answering a summary are one rule: `wants`. It is the same for slices
and for the lists of links that tell who lives. In a full mesh everybody hears of a change from its host alone; a chain
hears of it link by link.
"""

from collections.abc import Container, Mapping

import msgspec

from agentmesh.core.model import Contacts, Slice, Version
from agentmesh.core.wire import ContactsNews, Summary

News = Slice | Contacts
"""What a host tells of itself, and others pass on."""


class Neighbour(msgspec.Struct, frozen=True):
    """A host that there is a link to, as far as it is known what it knows."""

    host: str
    holds: Mapping[str, Version] | None = None
    """The version of each slice that it has told us, or been told by us; None before its summary."""
    hears: Mapping[str, Version] | None = None
    """The same of each host's contacts; None when it doesn't speak of them."""
    links: frozenset[str] = frozenset()
    """The hosts that it says it has links to."""


def newcomer(host: str, *, summarises: bool) -> Neighbour:
    """Return a host that a link has come up to. One that sends no summaries holds nothing, as far as is known."""
    return Neighbour(host, None if summarises else {})


def summed_up(known: Mapping[str, News]) -> dict[str, Version]:
    """Return what is held, as it is told to a neighbour."""
    return {host: part.version for host, part in known.items()}


def wants(neighbour: Neighbour, part: News, links: Container[str]) -> bool:
    """Tell whether a neighbour lacks news that are not left to their host to tell.

    They are where both have a link to that host: ``links`` are ours. Who has none may hold what their host has lost, so
    that only a neighbour of it can say so. Their host is told of them too, should it hold older ones: its disk was
    restored, or somebody lies.
    """
    known = neighbour.holds if isinstance(part, Slice) else neighbour.hears
    if known is None or (part.host in neighbour.links and part.host in links):
        return False
    held = known.get(part.host)
    return held is None or held < part.version


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
