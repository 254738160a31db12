"""Whom to keep links to, in a mesh that is too large for links to all: some hosts of a ring. Pure.

All members stand on a ring, by the hash of their names, so that hosts whose names are alike, and which may fail
together, stand apart. A host keeps links to those 1, 2, 4, 8 … places after it. One that can't be dialled is passed
over. Besides, it seeks one host at a time of those that nobody is known to have a link to: however a mesh has come
apart, two hosts that can reach each other find each other in the end.
"""

import hashlib
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence


def in_ring(members: Iterable[str]) -> tuple[str, ...]:
    """Return the members in the order of the ring.

    >>> in_ring(["a-1", "a-2", "b-1", "b-2"])
    ('a-1', 'b-1', 'b-2', 'a-2')
    """
    return tuple(sorted(members, key=lambda host: hashlib.sha256(host.encode()).digest()))


def view(ring: Sequence[str], place: int, failures: Mapping[str, int], full: int) -> set[str]:
    """Return whom the host at a place of the ring keeps links to: all others, up to ``full`` of them.

    ``failures`` is how often in a row each could not be dialled since it was last heard to live.

    >>> sorted(view("abcdefgh", 0, {}, full=3)), sorted(view("abcdefgh", 0, {"c": 1}, full=3))
    (['b', 'c', 'e'], ['b', 'd', 'e'])
    """
    others = len(ring) - 1
    if others <= full:
        return {*ring[:place], *ring[place + 1 :]}
    kept: set[str] = set()
    offset = 1
    while offset <= others:
        kept.add(_pick(_walk(ring, place, offset), failures, kept))
        offset *= 2
    return kept


def sought(ring: Sequence[str], place: int, failures: Mapping[str, int], live: Collection[str]) -> str:
    """Return whom the host at a place seeks: the next that isn't known to live, and has failed least; else nobody.

    >>> sought("abcdefgh", 0, {"c": 1}, "abdegh"), sought("abcdefgh", 0, {}, "abcdefgh")
    ('f', '')
    """
    unreached = set(ring).difference(live, ring[place : place + 1])
    return _pick((host for host in _walk(ring, place, 1) if host in unreached), failures, ()) if unreached else ""


def _walk(ring: Sequence[str], place: int, offset: int) -> Iterator[str]:
    """Yield every other host once, from some places after a place on."""
    others = len(ring) - 1
    for step in range(others):
        yield ring[(place + 1 + (offset - 1 + step) % others) % len(ring)]


def _pick(walk: Iterable[str], failures: Mapping[str, int], kept: Container[str]) -> str:
    """Return the first that isn't taken and has not failed, else the first of those that have failed least."""
    best, least = "", -1
    for host in walk:
        failed = failures.get(host, 0)
        if host not in kept and (least < 0 or failed < least):
            best, least = host, failed
            if not failed:
                break
    return best
