"""Registries converge, whatever happens to the frames between hosts, to the links and to the hosts."""

from collections.abc import Mapping
from itertools import combinations, pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentmesh.core.gossip import knowing, newcomer, summarised, wants
from agentmesh.core.liveness import contacts
from agentmesh.core.model import LAST_ORDINAL, Slice, Version
from agentmesh.core.registry import Registry, is_outdone
from agentmesh.core.view import Ring
from agentmesh.core.wire import ContactsNews, SliceNews, Summary
from tests.core.examples import NOW, a_pane, a_slice
from tests.core.simulation import SimulatedHost, Wire

NAMES = "abcde"
names = st.sampled_from(NAMES)


class Mesh(RuleBasedStateMachine):
    """Five hosts, some of which may leave."""

    RINGS: Mapping[str, Ring] = {}

    def __init__(self) -> None:
        super().__init__()
        self.wire = Wire(NAMES, self.RINGS)
        self.left: set[str] = set()
        self.backups: dict[str, tuple[int, Registry]] = {}

    def pick(self, data: st.DataObject) -> tuple[str, str]:
        return data.draw(st.sampled_from(sorted(self.wire.under_way)))

    @property
    def alive(self) -> list[str]:
        return [name for name in NAMES if name not in self.left]

    @rule(host=names)
    def change(self, host: str) -> None:
        self.wire.hosts[host].change()

    @rule(one=names, other=names)
    def link(self, one: str, other: str) -> None:
        if one != other and not {one, other} & self.left:
            self.wire.link(one, other)

    @initialize()
    def begin_linked(self) -> None:
        for link in pairwise(NAMES):
            self.wire.link(*link)

    @rule(one=names, other=names)
    def cut(self, one: str, other: str) -> None:
        if one != other:
            self.wire.cut(one, other)

    @precondition(lambda self: self.wire.under_way)
    @rule(data=st.data())
    def say(self, data: st.DataObject) -> None:
        self.wire.say(*self.pick(data))

    @precondition(lambda self: self.wire.under_way)
    @rule(data=st.data())
    def say_left(self, data: st.DataObject) -> None:
        self.wire.say_left(*self.pick(data))

    @precondition(lambda self: self.wire.under_way)
    @rule(data=st.data(), full=st.booleans())
    def summarise(self, data: st.DataObject, *, full: bool) -> None:
        source, target = self.pick(data)
        if full:
            self.wire.summarise(source, target)
        else:
            self.wire.under_way[source, target].append(Summary(tuple(self.wire.hosts[source].neighbours)))

    @precondition(lambda self: any(self.wire.under_way.values()))
    @rule(data=st.data(), fate=st.sampled_from(["heard", "heard", "heard", "lost", "doubled"]))
    def pass_a_frame(self, data: st.DataObject, fate: str) -> None:
        full = sorted(pair for pair, news in self.wire.under_way.items() if news)
        pair = data.draw(st.sampled_from(full))
        news = self.wire.under_way[pair]
        number = data.draw(st.integers(0, len(news) - 1))
        if fate == "doubled":
            news.append(news[number])
        if fate == "lost":
            del news[number]
        else:
            self.wire.deliver(*pair, number)

    @rule(host=names)
    def back_up(self, host: str) -> None:
        self.backups[host] = self.wire.hosts[host].epoch, self.wire.hosts[host].registry

    @rule(host=names, restored=st.booleans())
    def restart(self, host: str, *, restored: bool) -> None:
        self.wire.cut_off(host)
        self.wire.hosts[host].change()
        if restored and host in self.backups:
            self.wire.hosts[host].epoch, registry = self.backups[host]
            members = self.wire.hosts[host].members
            self.wire.hosts[host].registry = {name: part for name, part in registry.items() if name in members}
        self.wire.hosts[host].start()

    @precondition(lambda self: self.wire.under_way)
    @rule(data=st.data(), host=names, epoch=st.integers(0, 99))
    def lie(self, data: st.DataObject, host: str, epoch: int) -> None:
        made_up = Slice(host, Version(epoch, 0, "lie"), NOW, (a_pane(f"{host}-x-made-up", host=host),))
        self.wire.under_way[self.pick(data)].append(SliceNews(made_up))

    @precondition(lambda self: self.wire.under_way)
    @rule(data=st.data(), host=names, links=st.sets(names), epoch=st.integers(0, 99))
    def lie_about_links(self, data: st.DataObject, host: str, links: set[str], epoch: int) -> None:
        self.wire.under_way[self.pick(data)].append(ContactsNews((contacts(host, epoch, 0, links),)))

    @precondition(lambda self: len(self.left) < 2)
    @rule(host=names)
    def leave(self, host: str) -> None:
        self.wire.cut_off(host)
        self.left.add(host)

    @precondition(lambda self: self.left)
    @rule(data=st.data(), at=names)
    def remove(self, data: st.DataObject, at: str) -> None:
        host = data.draw(st.sampled_from(sorted(self.left)))
        if at != host:
            self.wire.hosts[at].remove(host)

    @rule(data=st.data())
    def be_quiet(self, data: st.DataObject) -> None:
        for host in self.alive:
            for gone in self.left:
                self.wire.hosts[host].remove(gone)
        order = data.draw(st.permutations(self.alive))
        tree = [(data.draw(st.sampled_from(order[:number])), order[number]) for number in range(1, len(order))]
        up = set(self.wire.under_way)
        self.wire.settle_links(up.union(tree) if data.draw(st.booleans()) else tree)
        truth = {name: self.wire.hosts[name].own for name in order}
        for host in order:
            assert self.wire.hosts[host].registry == truth
            assert {name: way.hops for name, way in self.wire.hosts[host].ways.items()} == self.distances(host)

    def distances(self, start: str) -> dict[str, int]:
        """Return how many links away each host is that can be reached from one."""
        found = {start: 0}
        edge = [start]
        while edge:
            host = edge.pop(0)
            for source, target in sorted(self.wire.under_way):
                if source == host and target not in found:
                    found[target] = found[host] + 1
                    edge.append(target)
        del found[start]
        return found

    @invariant()
    def nobody_loses_its_own_news(self) -> None:
        for host in self.wire.hosts.values():
            assert host.own.panes == host.panes

    @invariant()
    def who_was_removed_does_not_come_back(self) -> None:
        for host in self.wire.hosts.values():
            assert host.registry.keys() <= host.members


TestMesh = Mesh.TestCase
TestMesh.settings = settings(stateful_step_count=40)


class PartialMesh(Mesh):
    """The same where news go along trees, of which no two hosts think alike."""

    RINGS: Mapping[str, Ring] = {
        host: Ring(order) for host, order in zip(NAMES, ["abcde", "cdeab", "edcba", "acebd", "dbeca"], strict=True)
    }


TestPartialMesh = PartialMesh.TestCase
TestPartialMesh.settings = settings(stateful_step_count=40)


CHAIN = list(pairwise(NAMES))
STAR = [("a", other) for other in "bcde"]
FULL = list(combinations(NAMES, 2))


@pytest.mark.parametrize("links", [CHAIN, STAR, FULL], ids=["chain", "star", "full"])
def test_a_change_is_sent_once_to_each_host(links: list[tuple[str, str]]) -> None:
    for changed in NAMES:
        wire = Wire(NAMES)
        wire.settle_links(links)
        wire.slices_sent.clear()
        wire.hosts[changed].change()
        wire.settle()
        assert sorted(target for _, target in wire.slices_sent) == [name for name in NAMES if name != changed]
        assert all(host.registry[changed] == wire.hosts[changed].own for host in wire.hosts.values())


def test_in_a_mesh_of_partial_views_a_change_is_sent_once_to_each_host() -> None:
    ring = Ring("abcdefghijkl")
    links = [(host, other) for host in ring.hosts for other in ring.view(host, {}, full=1)]
    for changed in ring.hosts:
        wire = Wire(ring.hosts, dict.fromkeys(ring.hosts, ring))
        wire.settle_links(links)
        wire.slices_sent.clear()
        wire.hosts[changed].change()
        wire.settle()
        assert sorted(target for _, target in wire.slices_sent) == [host for host in ring.hosts if host != changed]


def test_news_that_are_left_to_a_host_that_does_not_pass_them_on_are_asked_for() -> None:
    # By b's ring d tells c of a, by d's ring b does.
    wire = Wire("abcd", {"a": Ring("adbc"), "b": Ring("adbc"), "c": Ring("adbc"), "d": Ring("abdc")})
    wire.settle_links([("a", "b"), ("b", "c"), ("b", "d"), ("c", "d")])
    wire.hosts["a"].change()
    wire.settle()
    assert wire.hosts["c"].registry["a"] == wire.hosts["a"].own


def test_in_a_full_mesh_a_change_crosses_the_links_of_its_host_alone() -> None:
    wire = Wire("abc")
    wire.settle_links(combinations("abc", 2))
    wire.slices_sent.clear()
    wire.hosts["a"].change()
    wire.settle()
    assert sorted(wire.slices_sent) == [("a", "b"), ("a", "c")]


def test_nothing_is_sent_when_nothing_has_changed() -> None:
    wire = Wire(NAMES)
    wire.settle_links(CHAIN)
    wire.slices_sent.clear()
    wire.settle_links(FULL)
    assert wire.slices_sent == []


def test_many_changes_for_a_slow_neighbour_are_one_slice() -> None:
    wire = Wire("ab")
    wire.settle_links([("a", "b")])
    for _ in range(9):
        wire.hosts["a"].change()
    assert wire.hosts["a"].news_for("b") == [SliceNews(wire.hosts["a"].own)]
    assert wire.hosts["a"].news_for("b") == []


def test_a_host_whose_disk_was_restored_rises_above_what_is_known_of_it() -> None:
    wire = Wire("ab")
    wire.settle_links([("a", "b")])
    wire.cut("a", "b")
    for _ in range(3):
        wire.hosts["a"].start()
    wire.settle_links([("a", "b")])
    known = wire.hosts["b"].registry["a"].version
    wire.cut("a", "b")
    wire.hosts["a"] = SimulatedHost("a", "ab")
    wire.hosts["a"].change()
    assert wire.hosts["a"].own.version < known
    wire.settle_links([("a", "b")])
    assert wire.hosts["b"].registry["a"] == wire.hosts["a"].own
    assert wire.hosts["a"].own.version.epoch == known.epoch + 1


def test_a_slice_of_the_last_epoch_is_a_lie_that_no_host_can_go_above() -> None:
    assert not is_outdone(a_slice(), Version(LAST_ORDINAL, 0, ""))
    assert is_outdone(a_slice(), Version(LAST_ORDINAL - 1, 0, ""))


NEWS = a_slice(host="c", counter=5)


@pytest.mark.parametrize(
    ("summary", "wanted"),
    [
        (Summary(slices={}), True),
        (Summary(slices={"c": Version(1, 4, "z")}), True),
        (Summary(slices={"c": NEWS.version}), False),
        (Summary(slices={"c": Version(2, 0, "")}), False),
        (Summary(links=("c",), slices={}), False),
        (Summary(links=("d",), slices={}), True),
        (Summary(), False),
    ],
)
def test_a_slice_is_passed_on_to_who_lacks_it_and_does_not_hear_it_from_its_host(
    summary: Summary, *, wanted: bool
) -> None:
    neighbour = summarised(newcomer("b"), summary)
    assert wants(neighbour, NEWS, links="bc") == wanted


def test_a_slice_is_passed_on_to_a_neighbour_of_its_host_by_who_is_none() -> None:
    assert wants(summarised(newcomer("b"), Summary(("c",), {})), NEWS, links="b")


def test_a_host_is_told_what_is_said_in_its_name() -> None:
    neighbour = knowing(summarised(newcomer("c"), Summary(("a",), {})), a_slice(host="c"))
    assert wants(neighbour, NEWS, links="c")


def test_what_a_host_has_lost_comes_back_to_it_through_a_neighbour_that_never_had_it() -> None:
    wire = Wire("abc")
    wire.settle_links([("a", "b"), ("b", "c")])
    kept = a_slice(host="a", epoch=9)
    wire.hosts["c"].registry = {**wire.hosts["c"].registry, "a": kept}
    wire.settle_links([("a", "b"), ("b", "c")])
    assert wire.hosts["a"].own.version.epoch == 10
    assert wire.hosts["c"].registry["a"] == wire.hosts["a"].own


def test_a_peer_that_sends_no_summaries_is_sent_each_version_once() -> None:
    peer = newcomer("b", protocol=1)
    assert wants(peer, NEWS, links="b")
    assert not wants(knowing(peer, NEWS), NEWS, links="b")


def test_news_of_links_alone_changes_nothing_of_what_a_neighbour_holds() -> None:
    neighbour = summarised(newcomer("b"), Summary(("c",), {"c": NEWS.version}))
    after = summarised(neighbour, Summary(("d",)))
    assert (after.holds, after.links) == (neighbour.holds, frozenset("d"))
