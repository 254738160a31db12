"""Addresses: slugs, windows that want the same one, selectors."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.address import (
    Address,
    ByHost,
    ByRole,
    Everyone,
    Glob,
    Name,
    PaneId,
    Selector,
    parse_selectors,
    plain_name,
    settle_collisions,
    slug,
    window_address,
)
from tests.core.examples import names

windows = st.dictionaries(st.integers(0, 20), st.sampled_from(["h-s-w", "h-s-w-2", "h-s-v"]).map(Address))


@given(st.text())
def test_a_slug_has_plain_characters_and_at_most_40(text: str) -> None:
    made = slug(text)
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", made)
    assert len(made) <= 40


@given(st.text())
def test_the_slug_of_a_slug_is_itself(text: str) -> None:
    assert slug(slug(text)) == slug(text)


@given(names)
def test_a_plain_name_stands_as_it_is(name: str) -> None:
    assert plain_name(name) == name


@pytest.mark.parametrize(
    ("host", "session", "window", "address"),
    [
        ("hub", "dev", "review", "hub-dev-review"),
        ("worker-1", "Dev_2", "API review (2)", "worker-1-Dev_2-api-review-2"),
        ("hub", "my project", "a.b:c", "hub-my-project-a-b-c"),
        ("hub", "dev", "日本語", "hub-dev-win7"),
        ("hub", "dev", "x" * 50, f"hub-dev-{'x' * 40}"),
        ("hub", "dev", "x" * 39 + " y", f"hub-dev-{'x' * 39}"),
    ],
)
def test_a_window_is_addressed_by_host_session_and_slug(host: str, session: str, window: str, address: str) -> None:
    assert window_address(host, session, window, 7) == address


@given(windows, windows)
def test_settled_addresses_are_distinct_and_begin_as_wanted(
    before: dict[int, Address], wanted: dict[int, Address]
) -> None:
    earlier = settle_collisions(before, {})
    given_now = settle_collisions(wanted, {window: (before[window], earlier[window]) for window in before})
    assert list(given_now) == list(wanted)
    assert len(set(given_now.values())) == len(wanted)
    assert all(re.fullmatch(rf"{wanted[window]}(-\d+)?", address) for window, address in given_now.items())


@given(windows, windows)
def test_a_window_keeps_its_address_while_it_wants_the_same(
    before: dict[int, Address], wanted: dict[int, Address]
) -> None:
    earlier = settle_collisions(before, {})
    given_now = settle_collisions(wanted, {window: (before[window], earlier[window]) for window in before})
    staying = [window for window in wanted if before.get(window) == wanted[window]]
    assert {window: given_now[window] for window in staying} == {window: earlier[window] for window in staying}


@given(st.lists(st.integers(), unique=True, min_size=1))
def test_the_oldest_window_has_the_plain_address(ages: list[int]) -> None:
    given_now = settle_collisions(dict.fromkeys(ages, Address("h-s-w")), {})
    assert list(given_now.values()) == ["h-s-w", *(f"h-s-w-{number}" for number in range(2, len(ages) + 1))]


@pytest.mark.parametrize(
    ("text", "selectors"),
    [
        ("hub-dev-review", [Name("hub-dev-review")]),
        (" a , b,, ", [Name("a"), Name("b")]),
        ("hub:%12", [PaneId("hub", "%12")]),
        ("hub:12", [Name("hub:12")]),
        ("Worker-*", [Glob("worker-*")]),
        ("@role:reviewer", [ByRole("reviewer")]),
        ("@host:worker-1", [ByHost("worker-1")]),
        ("@all", [Everyone()]),
        ("@role:", [Name("@role:")]),
        (",", []),
    ],
)
def test_what_a_person_types_is_read_as_selectors(text: str, selectors: list[Selector]) -> None:
    assert parse_selectors(text) == selectors
