"""What one agent tells a neighbour of the registry: what it lacks, and doesn't hear from the slice's own host. Pure.

Pushing a change, passing on what another said, and answering a summary are one rule: `wants`. In a full mesh everybody
hears of a change from its host alone; a chain hears of it link by link.
"""

from collections.abc import Iterable, Mapping

import msgspec

from agentmesh.core.model import Slice, Version
from agentmesh.core.registry import Registry
from agentmesh.core.wire import Summary


class Neighbour(msgspec.Struct, frozen=True):
    """A host that there is a link to, as far as it is known what it knows."""

    host: str
    holds: Mapping[str, Version] | None = None
    """The version of each slice that it has told us, or been told by us; None before its summary."""
    links: frozenset[str] = frozenset()
    """The hosts that it says it has links to."""


def newcomer(host: str, *, summarises: bool) -> Neighbour:
    """Return a host that a link has come up to. One that sends no summaries holds nothing, as far as is known."""
    return Neighbour(host, None if summarises else {})


def summed_up(registry: Registry) -> dict[str, Version]:
    """Return what is held, as it is told to a neighbour."""
    return {host: part.version for host, part in registry.items()}


def wants(neighbour: Neighbour, part: Slice, own: str) -> bool:
    """Tell whether a neighbour lacks a slice, and doesn't hear of it from its host itself, unless that is this one.

    The slice's host is told of it too, should it hold an older one: its disk was restored, or somebody lies.
    """
    if neighbour.holds is None or (part.host in neighbour.links and part.host != own):
        return False
    held = neighbour.holds.get(part.host)
    return held is None or held < part.version


def knowing(neighbour: Neighbour, part: Slice) -> Neighbour:
    """Return a neighbour that has sent a slice, or is being sent it."""
    holds = neighbour.holds or {}
    held = holds.get(part.host)
    if held is not None and held >= part.version:
        return neighbour
    return msgspec.structs.replace(neighbour, holds={**holds, part.host: part.version})


def summarised(neighbour: Neighbour, summary: Summary) -> Neighbour:
    """Return a neighbour that has sent a summary: what it holds is what it says, whatever it was sent before."""
    holds = neighbour.holds if summary.slices is None else summary.slices
    return Neighbour(neighbour.host, holds, frozenset(summary.links))


def ways(neighbours: Iterable[Neighbour]) -> dict[str, str]:
    """Return which hosts live, and how each is reached: by a link (an empty text), or through which neighbour.

    >>> sorted(ways([Neighbour("b", {}, frozenset({"a", "c"})), Neighbour("a")]).items())
    [('a', ''), ('b', ''), ('c', 'b')]
    """
    near = sorted(neighbours, key=lambda neighbour: neighbour.host)
    found = {host: neighbour.host for neighbour in reversed(near) for host in sorted(neighbour.links)}
    return found | {neighbour.host: "" for neighbour in near}
