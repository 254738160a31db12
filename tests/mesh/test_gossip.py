"""What neighbours are told, and when: a real replica, and a wire that the test has in its hands."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from agentmesh.adapters.keys import HostKey, make_key
from agentmesh.agent import gossip
from agentmesh.agent.gossip import Gossip
from agentmesh.agent.identities import Identities
from agentmesh.agent.replication import Replica
from agentmesh.agent.tasks import Tasks
from agentmesh.config import Paths
from agentmesh.core.identity import UNSIGNED, Identity, Pin, Seal
from agentmesh.core.liveness import Way, contacts
from agentmesh.core.model import LAST_ORDINAL, Contacts, Origin, Slice, Version
from agentmesh.core.view import Ring
from agentmesh.core.wire import NEWEST_PROTOCOL, ContactsNews, Frame, Held, SliceNews, Summary, encode, slice_text
from agentmesh.errors import Unreachable
from agentmesh.store.database import open_database
from tests.core.examples import a_pane, a_slice
from tests.eventually import eventually_async
from tests.mesh.identity import identities_in


class Office:
    """A host ``hub`` of the mesh ``a b c``, and what it has told whom."""

    def __init__(self, replica: Replica, tasks: Tasks, identities: Identities) -> None:
        self.replica = replica
        self.identities = identities
        self.gossip = Gossip("hub", replica, tasks, self._tell)
        self.told: list[tuple[str, Frame]] = []
        self.broken: set[str] = set()
        self.flows = asyncio.Event()
        self.flows.set()

    async def _tell(self, host: str, *frames: Frame) -> None:
        for frame in frames:
            encode(frame)
        if host in self.broken:
            raise Unreachable(host=host, reason="broken")
        self.told += [(host, frame) for frame in frames]
        await self.flows.wait()

    async def meet(self, host: str, *links: str) -> None:
        """Let a link come up to a host that has every slice but this host's."""
        self.gossip.join(host, NEWEST_PROTOCOL)
        self.gossip.compare(host, Summary(links, {}))
        await self.eventually_told(host, self.replica.own)

    async def change(self, window: str = "x", count: int = 1) -> Slice:
        panes = tuple(a_pane(f"hub-dev-{window}-{number}") for number in range(count))
        assert await self.replica.publish(panes)
        return self.replica.own

    def slices(self, host: str) -> list[Slice]:
        return [frame.slice for to, frame in self.told if to == host and isinstance(frame, SliceNews)]

    def contacts(self, host: str) -> list[Contacts]:
        return [
            part for to, frame in self.told if to == host and isinstance(frame, ContactsNews) for part in frame.contacts
        ]

    async def hear(self, part: Slice, source: str, seal: Seal = UNSIGNED) -> None:
        """Take in a slice that a peer has sent, whose name is claimed."""
        await self.gossip.learn(part, Origin(source, Identity.CLAIMED), seal)

    async def eventually_told(self, host: str, part: Slice) -> None:
        await eventually_async(lambda: part in self.slices(host), f"{host} is told {part}", lambda: self.told)

    async def eventually_sent(self, host: str, frame: Frame) -> None:
        await eventually_async(lambda: (host, frame) in self.told, f"{host} is sent {frame}", lambda: self.told)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_database(tmp_path / "mesh.db") as database, Tasks() as tasks:
        identities = identities_in(tmp_path)
        replica = Replica(Paths(tmp_path), "hub", database, identities)
        await replica.load(["a", "b", "c"], new_epoch=True)
        yield Office(replica, tasks, identities)


async def test_a_slow_neighbour_holds_nobody_up_and_gets_the_newest_alone(office: Office) -> None:
    await office.meet("a")
    office.told.clear()
    office.flows.clear()
    first = await office.change("first")
    await office.eventually_told("a", first)
    await office.change("second")
    last = await office.change("third")
    office.flows.set()
    await office.eventually_told("a", last)
    assert office.slices("a") == [first, last]


async def test_a_slice_that_fits_no_frame_is_not_sent_and_the_next_is(office: Office) -> None:
    await office.meet("a")
    await office.change("huge", count=5000)
    small = await office.change("small")
    await office.eventually_told("a", small)
    await office.change("huge-again", count=5000)
    await office.hear(a_slice(host="b"), "b")
    await office.eventually_told("a", a_slice(host="b"))
    assert max(len(part.panes) for part in office.slices("a")) == 1


async def test_a_link_that_broke_holds_nobody_else_up(office: Office) -> None:
    await office.meet("a")
    await office.meet("b")
    office.broken = {"a"}
    await office.eventually_told("b", await office.change())


async def test_a_relayed_slice_is_told_to_others_than_its_teller(office: Office) -> None:
    for host in ("a", "b"):
        await office.meet(host)
    news = a_slice(a_pane("c-dev-x", host="c"), host="c")
    await office.hear(news, "a")
    await office.eventually_told("b", news)
    assert news not in office.slices("a")


@pytest.mark.parametrize(
    "part", [a_slice(host="stranger"), a_slice(a_pane("hub-dev-x"), host="c")], ids=["no-member", "unsound"]
)
async def test_a_slice_that_is_not_taken_is_not_passed_on(office: Office, part: Slice) -> None:
    for host in ("a", "b"):
        await office.meet(host)
    await office.hear(part, "a")
    await office.eventually_told("b", await office.change())
    assert part.host not in office.replica.registry
    assert part not in office.slices("b")


async def test_a_neighbour_is_told_of_links_that_come_and_go(office: Office) -> None:
    await office.meet("a")
    await office.meet("b")
    await office.eventually_sent("a", Summary(("a", "b")))
    office.gossip.part("b", linked=False)
    await office.eventually_sent("a", Summary(("a",)))


async def test_a_slice_is_passed_on_when_the_link_to_its_host_is_lost(office: Office) -> None:
    await office.meet("a", "c")
    await office.meet("c")
    news = a_slice(host="c")
    await office.hear(news, "c")
    await office.eventually_told("a", await office.change())
    assert news not in office.slices("a")
    office.gossip.compare("a", Summary(("b",)))
    await office.eventually_told("a", news)


async def test_a_newer_slice_of_this_host_is_outdone_and_all_are_told(office: Office) -> None:
    await office.meet("a")
    await office.change()
    panes = office.replica.own.panes
    await office.hear(a_slice(host="hub", epoch=41, counter=7), "b")
    assert (office.replica.own.version.epoch, office.replica.own.panes) == (42, panes)
    await office.eventually_told("a", office.replica.own)


async def test_a_newer_slice_of_this_host_that_a_neighbour_holds_is_asked_for(office: Office) -> None:
    await office.meet("a")
    office.told.clear()
    own = office.replica.own.version
    office.gossip.compare("a", Summary(("hub",), {"hub": own}))
    office.gossip.compare("a", Summary(("hub",), {"hub": Version(own.epoch + 1, 0, "")}))
    await office.eventually_sent("a", Summary(("a",), {"hub": own}))
    summaries = [frame for _, frame in office.told if isinstance(frame, Summary)]
    assert summaries == [Summary(("a",), {"hub": own})]


async def test_who_serves_a_peer_without_an_agent_goes_on_from_the_slice_of_one_that_has_run_meanwhile(
    office: Office, tmp_path: Path
) -> None:
    async with open_database(tmp_path / "mesh.db") as database:
        lone = Replica(Paths(tmp_path), "hub", database, office.identities)
        await lone.load(["a"], new_epoch=False)
        looks = asyncio.Event()
        lone.on_successor = looks.set
        agent = Replica(Paths(tmp_path), "hub", database, office.identities)
        await agent.load(["a"], new_epoch=True)
        await agent.publish((a_pane("hub-dev-x"),))
        told = agent.news_of("hub")
        await lone.learn(told.slice, Origin("a", Identity.CLAIMED), UNSIGNED)
        assert lone.own.version < told.slice.version
        await lone.learn(told.slice, Origin("a", Identity.CLAIMED), told.seal)
        assert (lone.own, looks.is_set()) == (told.slice, True)
        await lone.publish((a_pane("hub-dev-y"),))
        assert lone.own.version > told.slice.version


async def test_a_host_is_live_through_who_has_a_link_to_it_and_stale_without(office: Office) -> None:
    def state(host: str) -> str:
        return office.replica.states.get(host, "").partition(" since")[0]

    async def eventually_are(*states: str) -> None:
        await eventually_async(
            lambda: (state("a"), state("c")) == states, f"they are {states}", lambda: (state("a"), state("c"))
        )

    await office.meet("a", "c")
    await eventually_are("live", "live via a")
    office.gossip.compare("a", Summary())
    await eventually_are("live", "stale")
    office.gossip.part("a", linked=False)
    await eventually_are("stale", "stale")


async def test_a_host_far_off_lives_while_the_hosts_between_say_so(office: Office) -> None:
    async def eventually_is(state: str) -> None:
        await eventually_async(
            lambda: office.replica.states.get("c", "").startswith(state), f"c is {state}", lambda: office.replica.states
        )

    await office.meet("a")
    near, between, far = contacts("a", 1, 0, ["b", "hub"]), contacts("b", 1, 0, "ac"), contacts("c", 1, 0, "b")
    office.gossip.chart("a", ContactsNews((near, between, far), {}))
    await eventually_is("live via a")
    assert office.gossip.ways["c"] == Way("a", 3)
    office.gossip.chart("a", ContactsNews((contacts("b", 1, 1, "a"),)))
    await eventually_is("stale since")


async def test_contacts_are_told_to_who_lacks_them(office: Office) -> None:
    await office.meet("a")
    await office.meet("b")
    office.gossip.chart("b", ContactsNews(held={"c": Version(1, 5, "")}))
    older, newer = contacts("c", 1, 4, "a"), contacts("c", 1, 6, "a")
    office.gossip.chart("a", ContactsNews((older,)))
    office.gossip.chart("a", ContactsNews((newer, contacts("stranger", 1, 0, "a"))))
    await eventually_async(lambda: newer in office.contacts("b"), "b is told", lambda: office.told)
    assert {part.host for part in office.contacts("b")} == {"hub", "c"}
    assert older not in office.contacts("b")


async def test_a_newer_list_of_this_hosts_links_is_outdone(office: Office) -> None:
    await office.meet("a")
    office.gossip.chart("a", ContactsNews((contacts("hub", 41, 7, "bc"),), {}))
    mine = contacts("hub", 41, 8, "a")
    await eventually_async(lambda: mine in office.contacts("a"), "a is told better", lambda: office.told)


async def test_what_a_new_link_brings_is_told_by_versions_first(office: Office) -> None:
    await office.meet("a")
    office.gossip.chart("a", ContactsNews((contacts("c", 2, 1, "a"),)))
    office.gossip.join("b", NEWEST_PROTOCOL)
    known = Version(2, 1, "ca978112")

    def told() -> list[Mapping[str, Version]]:
        return [frame.held for to, frame in office.told if to == "b" and isinstance(frame, ContactsNews) and frame.held]

    await eventually_async(lambda: any(held.get("c") == known for held in told()), "b is told what is held", told)


async def in_a_tree(office: Office, monkeypatch: pytest.MonkeyPatch) -> Slice:
    """Let ``hub`` hear news of ``c`` that ``b`` is to tell ``a``; return them."""
    monkeypatch.setattr(gossip, "LEFT_SECONDS", (0.0, 0.0))
    office.gossip.ring = Ring(["c", "b", "hub", "a"])
    await office.meet("a", "b")
    await office.meet("b", "a")
    office.told.clear()
    news = a_slice(a_pane("c-dev-x", host="c"), host="c")
    await office.hear(news, "c")
    return news


async def test_what_is_left_to_another_to_tell_is_said_to_be_held(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    news = await in_a_tree(office, monkeypatch)
    await office.eventually_sent("a", Held({"c": news.version}))
    assert not office.slices("a")
    office.gossip.weigh("a", Held({"c": Version(0, 0, "")}))
    await office.eventually_told("a", news)


async def test_an_older_agent_is_told_at_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mesh.test_gossip.NEWEST_PROTOCOL", 4)
    await office.eventually_told("a", await in_a_tree(office, monkeypatch))


async def test_what_a_neighbour_holds_newer_is_asked_for(office: Office) -> None:
    await office.meet("a")
    held = await office.change(), a_slice(host="b")
    await office.hear(held[1], "b")
    newer = {part.host: Version(part.version.epoch + 1, 0, "") for part in held}
    office.gossip.weigh("a", Held({**newer, "stranger": Version(1, 0, "")}, {"b": Version(1, 0, "")}))
    await office.eventually_sent("a", Held({"b": held[1].version}, {"b": Version(0, 0, "")}))


async def test_what_is_asked_for_twice_before_it_is_sent_is_asked_for_together(office: Office) -> None:
    await office.meet("a")
    for host in ("b", "c"):
        office.gossip.weigh("a", Held({host: Version(1, 0, "")}))
    await office.eventually_sent("a", Held(dict.fromkeys("bc", Version(0, 0, ""))))


async def test_a_host_that_was_forgotten_while_its_slice_was_written_is_offered_to_nobody(office: Office) -> None:
    await office.meet("a")
    office.replica.on_change("b")
    await office.eventually_told("a", await office.change())
    assert {part.host for part in office.slices("a")} == {"hub"}


async def test_a_resync_makes_good_what_was_lost(office: Office) -> None:
    await office.meet("a")
    office.told.clear()
    office.gossip.summarise()
    own = office.replica.own
    await office.eventually_sent("a", Summary(("a",), {"hub": own.version}))
    office.gossip.compare("a", Summary(slices={"hub": Version(0, 0, "")}))
    await office.eventually_told("a", own)


@pytest.fixture
def worker(tmp_path: Path, office: Office) -> HostKey:
    """Return the key of host ``c``, which is pinned."""
    make_key(tmp_path / "worker")
    key = HostKey(tmp_path / "worker")
    office.identities.files.pin(tmp_path / "authorized_keys", Pin("c", key.public), "/x/agentmesh wire --peer c")
    return key


async def test_a_relayed_slice_of_a_pinned_host_is_taken_with_its_signature_alone(
    office: Office, worker: HostKey, tmp_path: Path
) -> None:
    await office.identities.refresh()
    await office.meet("a")
    forged, true = a_slice(host="c", epoch=9), a_slice(host="c", epoch=1)
    make_key(tmp_path / "liar")
    text = slice_text(true)
    for seal in (
        UNSIGNED,
        HostKey(tmp_path / "liar").seal(slice_text(forged)),
        Seal(slice_text(forged), worker.public, worker.seal(text).signature),
    ):
        await office.hear(forged, "b", seal)
        assert "c" not in office.replica.registry
    await office.hear(true, "b", worker.seal(text))
    assert office.replica.registry["c"] == true
    await office.eventually_sent("a", SliceNews(true, worker.seal(text)))


async def test_a_wrong_signature_is_refused_though_nothing_is_pinned(office: Office, tmp_path: Path) -> None:
    make_key(tmp_path / "any")
    seal = HostKey(tmp_path / "any").seal(b"something else")
    part = a_slice(host="c")
    await office.hear(part, "c", Seal(slice_text(part), seal.key, seal.signature))
    assert "c" not in office.replica.registry


async def test_what_was_taken_on_trust_is_forgotten_when_a_pin_says_otherwise(office: Office, worker: HostKey) -> None:
    forged, kept = a_slice(host="c", epoch=9), a_slice(host="b")
    for part in (forged, kept):
        await office.hear(part, "a")
    changed = await office.identities.refresh()
    await office.replica.reconsider(changed)
    assert office.replica.registry.keys() == {"hub", "b"}
    true = a_slice(host="c", epoch=1)
    await office.hear(true, "a", worker.seal(slice_text(true)))
    assert office.replica.registry["c"] == true


async def test_a_lie_about_this_host_does_not_use_up_its_numbers(office: Office) -> None:
    before = office.replica.own.version
    highest = a_slice(host="hub", epoch=LAST_ORDINAL - 1)
    await office.hear(highest, "b")
    assert office.replica.own.version == before
    await office.hear(highest, "b", office.identities.seal(slice_text(highest)))
    assert office.replica.own.version.epoch == LAST_ORDINAL
