"""Who lives, by what hosts tell of their links: near and far, dead without a word, of old versions."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.liveness import Way, contacts, is_spare, next_contacts, ways
from agentmesh.core.model import LAST_ORDINAL, Contacts, Version

CHAIN = {"b": "ac", "c": "bd", "d": "ce", "e": "d"}


def told(lists: Mapping[str, str]) -> dict[str, Contacts]:
    return {host: contacts(host, 1, 0, links) for host, links in lists.items()}


def test_every_host_of_a_chain_is_reached_through_the_neighbour() -> None:
    assert ways("a", {"b": ()}, told(CHAIN)) == {
        "b": Way("", 1),
        "c": Way("b", 2),
        "d": Way("b", 3),
        "e": Way("b", 4),
    }


def test_a_host_that_died_without_a_word_does_not_live_by_its_own() -> None:
    assert ways("a", {"b": ()}, told({**CHAIN, "c": "b"})).keys() == {"b", "c"}


def test_the_other_side_of_a_cut_does_not_live_though_it_says_so() -> None:
    assert ways("a", {"b": ()}, told({**CHAIN, "b": "a"})).keys() == {"b"}


def test_a_neighbour_lives_whatever_is_told_of_it() -> None:
    assert ways("a", {"b": ()}, told({"b": ""})) == {"b": Way("", 1)}


def test_a_host_that_tells_nothing_lives_by_what_its_neighbours_tell() -> None:
    assert ways("a", {"b": ()}, told({"b": "ac"})) == {"b": Way("", 1), "c": Way("b", 2)}


def test_a_neighbour_that_only_sends_summaries_leads_to_its_own_neighbours() -> None:
    assert ways("a", {"b": "ac"}, {}) == {"b": Way("", 1), "c": Way("b", 2)}


def test_the_shortest_way_is_taken_and_of_equals_the_first_by_name() -> None:
    lists = told({"b": "ad", "c": "ad", "d": "bc"})
    assert ways("a", {"c": (), "b": ()}, lists)["d"] == Way("b", 2)
    assert ways("a", {"c": (), "d": (), "b": ()}, lists)["d"] == Way("", 1)


def test_a_link_is_spare_when_its_other_end_is_reached_without_it() -> None:
    ring = told({"b": "ac", "c": "ab"})
    assert is_spare("b", "a", {"b": (), "c": ()}, ring)
    assert not is_spare("b", "a", {"b": ()}, ring)


@given(st.sets(st.sampled_from("abc")), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_what_is_told_next_is_newer_than_all_that_was_heard(links: set[str], epoch: int, own: int, heard: int) -> None:
    before = contacts("hub", own, 0, "ab")
    after = next_contacts(before, epoch, links, Version(heard, 7, "z"))
    assert set(after.links) == links
    assert after is before or after.version > max(before.version, Version(heard, 7, "z"))
    assert (after is before) == (links == {"a", "b"} and heard < own)


def test_above_the_last_version_there_is_nothing_to_tell() -> None:
    before = contacts("hub", 1, 0, "a")
    assert next_contacts(before, 1, "b", Version(LAST_ORDINAL, LAST_ORDINAL, "")) is before
    assert next_contacts(before, 1, "b", Version(2, LAST_ORDINAL, "")).version.epoch == 3
