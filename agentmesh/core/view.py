"""Whom to keep links to, and whose news to pass on to whom, in a mesh that is too large for links to all. Pure.

All members stand on a ring, by the hash of their names, so that hosts whose names are alike, and which may fail
together, stand apart. A host keeps links to those 1, 2, 4, 8 … places after it. One that can't be dialled is passed
over. Besides, it seeks one host at a time of those that nobody is known to have a link to: however a mesh has come
apart, two hosts that can reach each other find each other in the end.

News of a host spread over these links along a tree, of which it is the root: who is 6 places after it, as 4 and 2, is
told by who is 2 places after it. So each is told once, in as many steps as the number of places has binary ones.
"""

import hashlib
from collections.abc import Collection, Container, Iterable, Iterator, Mapping


class Ring:
    """The members of a mesh, in their order."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts = tuple(hosts)
        self._places = {host: place for place, host in enumerate(self.hosts)}

    def view(self, host: str, failures: Mapping[str, int], full: int) -> set[str]:
        """Return whom a host keeps links to: all others, up to ``full`` of them.

        ``failures`` is how often in a row each could not be dialled since it was last heard to live.

        >>> ring = Ring("abcdefgh")
        >>> sorted(ring.view("a", {}, full=3)), sorted(ring.view("a", {"c": 1}, full=3))
        (['b', 'c', 'e'], ['b', 'd', 'e'])
        """
        others = len(self.hosts) - 1
        if others <= full:
            return set(self.hosts) - {host}
        kept: set[str] = set()
        offset = 1
        while offset <= others:
            kept.add(_pick(self._walk(host, offset), failures, kept))
            offset *= 2
        return kept

    def sought(self, host: str, failures: Mapping[str, int], live: Collection[str]) -> str:
        """Return whom a host seeks: the next that isn't known to live, and has failed least; else nobody.

        >>> ring = Ring("abcdefgh")
        >>> ring.sought("a", {"c": 1}, "abdegh"), ring.sought("a", {}, "abcdefgh")
        ('f', '')
        """
        unreached = set(self.hosts).difference(live, {host})
        return _pick((other for other in self._walk(host, 1) if other in unreached), failures, ()) if unreached else ""

    def teller(self, origin: str, host: str) -> str:
        """Return who passes the news of an origin on to a host, if it can; empty where the ring doesn't say.

        >>> ring = Ring("abcdefgh")
        >>> [ring.teller("a", host) for host in "abcdefgh"]
        ['', 'a', 'a', 'b', 'a', 'b', 'c', 'd']
        """
        if origin == host or not {origin, host} <= self._places.keys():
            return ""
        place = self._places[host]
        after = (place - self._places[origin]) % len(self.hosts)
        return self.hosts[place - (1 << after.bit_length() - 1)]

    def _walk(self, host: str, offset: int) -> Iterator[str]:
        """Yield every other host once, from some places after a host on."""
        others = len(self.hosts) - 1
        place = self._places[host]
        for step in range(others):
            yield self.hosts[(place + 1 + (offset - 1 + step) % others) % len(self.hosts)]


def in_ring(members: Iterable[str]) -> Ring:
    """Return the members in the order of the ring.

    >>> in_ring(["a-1", "a-2", "b-1", "b-2"]).hosts
    ('a-1', 'b-1', 'b-2', 'a-2')
    """
    return Ring(sorted(members, key=lambda host: hashlib.sha256(host.encode()).digest()))


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
