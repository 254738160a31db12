"""Whom a host of a large mesh keeps links to: few, and never so that the mesh comes apart."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentmesh.core.liveness import contacts, is_spare, ways
from agentmesh.core.model import Contacts
from agentmesh.core.view import Ring, in_ring

RING = in_ring(f"h{number}" for number in range(9))
HOSTS = RING.hosts
PAIRS = list(combinations(HOSTS, 2))
ROUNDS = 40
"""Far more than it takes: each host is sought in its turn."""


def test_a_small_mesh_is_full() -> None:
    assert RING.view(HOSTS[3], {}, full=8) == set(HOSTS) - {HOSTS[3]}


def test_a_large_mesh_has_few_links_a_host() -> None:
    ring = in_ring(f"h{number}" for number in range(1000))
    kept = [ring.view(host, {}, full=64) for host in ring.hosts]
    assert {len(hosts) for hosts in kept} == {10}
    incoming = [sum(host in hosts for hosts in kept) for host in ring.hosts]
    assert set(incoming) == {10}


def test_who_can_not_be_dialled_is_passed_over_for_the_next() -> None:
    assert Ring("abcdefgh").view("a", {"b": 1, "c": 3}, full=1) == {"d", "e", "f"}


def test_of_hosts_that_all_failed_the_one_that_failed_least_is_tried() -> None:
    failures = {"b": 2, "c": 2, "d": 1, "e": 2}
    assert Ring("abcde").view("a", failures, full=1) >= {"d"}


def test_of_the_hosts_that_nobody_has_a_link_to_each_is_sought_in_its_turn() -> None:
    failures: dict[str, int] = {}
    turns = []
    for _ in range(4):
        turns.append(Ring("abcdefghij").sought("a", failures, "abcdefi"))
        failures[turns[-1]] = failures.get(turns[-1], 0) + 1
    assert turns == ["g", "h", "j", "g"]


class Mesh:
    """Hosts that follow their views, where some are down, and some can't be dialled by some."""

    def __init__(self, down: set[str], dialable: set[tuple[str, str]]) -> None:
        self.alive = [host for host in HOSTS if host not in down]
        self.dialable = {pair for pair in dialable if not down & set(pair)}
        self.failures: dict[str, dict[str, int]] = {host: {} for host in HOSTS}
        self.lived: dict[str, set[str]] = {host: set() for host in HOSTS}
        self.links: set[tuple[str, str]] = set()
        """Who has dialled whom."""

    def near(self, host: str) -> dict[str, tuple[str, ...]]:
        return {other: () for link in self.links if host in link for other in link if other != host}

    def told(self) -> dict[str, Contacts]:
        return {host: contacts(host, 1, 0, self.near(host)) for host in self.alive}

    def follow(self, host: str) -> None:
        told = self.told()
        live = set(ways(host, self.near(host), told))
        for other in live - self.lived[host]:
            self.failures[host].pop(other, None)
        self.lived[host] = live
        seeking = RING.sought(host, self.failures[host], live)
        kept = RING.view(host, self.failures[host], full=2) | ({seeking} if seeking else set())
        for other in sorted(kept):
            if other in self.near(host):
                continue
            if (host, other) in self.dialable:
                self.links.add((host, other))
                self.failures[host].pop(other, None)
            else:
                self.failures[host][other] = self.failures[host].get(other, 0) + 1
        for link in sorted(self.links):
            if link[0] == host and link[1] not in kept and is_spare(link[1], host, self.near(host), self.told()):
                self.links.remove(link)

    def parts(self, links: set[tuple[str, str]]) -> set[frozenset[str]]:
        """Return the sets of hosts that are connected."""
        found = {host: {host} for host in self.alive}
        for one, other in links:
            joined = found[one] | found[other]
            for host in joined:
                found[host] = joined
        return {frozenset(hosts) for hosts in found.values()}


@settings(max_examples=40)
@given(st.sets(st.sampled_from(HOSTS), max_size=7))
def test_hosts_that_are_down_never_part_those_that_live(down: set[str]) -> None:
    mesh = Mesh(down, {*PAIRS, *((other, one) for one, other in PAIRS)})
    for _ in range(ROUNDS):
        for host in mesh.alive:
            mesh.follow(host)
    assert len(mesh.parts(mesh.links)) == 1


@settings(max_examples=40)
@given(
    st.sets(st.sampled_from(HOSTS), max_size=3),
    st.sets(st.sampled_from([*PAIRS, *((other, one) for one, other in PAIRS)]), max_size=20),
)
def test_whoever_can_reach_each_other_somehow_is_connected_in_the_end(
    down: set[str], dialable: set[tuple[str, str]]
) -> None:
    mesh = Mesh(down, dialable)
    for _ in range(ROUNDS):
        for host in mesh.alive:
            mesh.follow(host)
    assert mesh.parts(mesh.links) == mesh.parts(mesh.dialable)


def test_a_mesh_that_was_cut_in_two_is_one_again() -> None:
    everywhere = {*PAIRS, *((other, one) for one, other in PAIRS)}
    west = set(HOSTS[::2])
    mesh = Mesh(set(), {pair for pair in everywhere if len(west & set(pair)) != 1})
    for _ in range(ROUNDS):
        for host in mesh.alive:
            mesh.follow(host)
    assert len(mesh.parts(mesh.links)) == 2
    mesh.dialable = everywhere
    for _ in range(ROUNDS):
        for host in mesh.alive:
            mesh.follow(host)
    assert len(mesh.parts(mesh.links)) == 1
