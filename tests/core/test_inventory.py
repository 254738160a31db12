"""The inventory: from what tmux lists to the entries of a slice."""

from collections.abc import Mapping, Sequence

import pytest

from agentmesh.core.inventory import LONGEST_TEXT, Listing, PaneRecord, take_inventory
from agentmesh.core.model import Pane
from agentmesh.core.registry import FORMER_SECONDS
from tests.core.examples import NOW, a_record

EXCLUDE = ("scratch", "test-*", "_*")


def inventory(
    *records: PaneRecord,
    programs: Mapping[int, str] | None = None,
    before: Sequence[Pane] = (),
    now: int = NOW,
    others: Sequence[Listing] = (),
) -> dict[str, Pane]:
    """Return the entries, by address, of what the server ``default`` and perhaps others list."""
    listings = [Listing("default", records), *others]
    panes = take_inventory("hub", listings, programs or {}, before, EXCLUDE, now)
    assert len({pane.address for pane in panes}) == len(panes)
    return {pane.address: pane for pane in panes}


SPLIT = (a_record(1, 1, pane_index=0, active=False), a_record(1, 2, pane_index=1), a_record(1, 3, pane_index=2))


def test_a_window_of_one_pane_has_one_entry() -> None:
    found = inventory(a_record())
    assert list(found) == ["hub-dev-review"]
    assert found["hub-dev-review"].target == "dev:1"


def test_each_pane_of_a_split_window_is_addressed_too() -> None:
    found = inventory(*SPLIT)
    assert {address: (pane.pane, pane.target) for address, pane in found.items()} == {
        "hub-dev-review": ("%2", "dev:1"),
        "hub-dev-review.0": ("%1", "dev:1.0"),
        "hub-dev-review.1": ("%2", "dev:1.1"),
        "hub-dev-review.2": ("%3", "dev:1.2"),
    }


@pytest.mark.parametrize(
    ("chosen", "programs", "meant"),
    [
        ("", {}, "%2"),
        ("", {1003: "codex"}, "%3"),
        ("", {1003: "codex", 1001: "claude"}, "%1"),
        ("%2", {1003: "codex"}, "%2"),
        ("0", {1003: "codex"}, "%1"),
        ("%99", {1003: "codex"}, "%3"),
    ],
)
def test_a_window_means_its_named_pane_then_its_agent_then_its_active_pane(
    chosen: str, programs: dict[int, str], meant: str
) -> None:
    records = [a_record(1, n, pane_index=n - 1, active=n == 2, chosen_pane=chosen) for n in (1, 2, 3)]
    assert inventory(*records, programs=programs)["hub-dev-review"].pane == meant


def test_the_older_of_two_windows_keeps_the_plain_address_across_servers() -> None:
    older = Listing("other", (a_record(7, 7, server_start="0-9"),))
    found = inventory(a_record(2, 2), a_record(1, 1), others=[older])
    assert {address: (pane.server, pane.pane) for address, pane in found.items()} == {
        "hub-dev-review": ("other", "%7"),
        "hub-dev-review-2": ("default", "%1"),
        "hub-dev-review-3": ("default", "%2"),
    }


def test_the_younger_window_keeps_its_number_when_the_older_is_gone() -> None:
    before = inventory(a_record(1, 1), a_record(2, 2))
    found = inventory(a_record(2, 2), a_record(3, 3), before=list(before.values()))
    assert {address: pane.pane for address, pane in found.items()} == {
        "hub-dev-review-2": "%2",
        "hub-dev-review": "%3",
    }


def test_a_window_linked_into_two_sessions_is_addressed_in_both() -> None:
    found = inventory(a_record(), a_record(session="ops", session_id="$1"))
    assert {address: pane.pane for address, pane in found.items()} == {"hub-dev-review": "%1", "hub-ops-review": "%1"}


def test_a_window_linked_twice_into_one_session_is_one_window() -> None:
    assert list(inventory(a_record(window_index=1), a_record(window_index=5))) == ["hub-dev-review"]


@pytest.mark.parametrize(
    ("session", "register", "is_registered"),
    [
        ("dev", "", True),
        ("scratch", "", False),
        ("test-7", "", False),
        ("_hidden", "", False),
        ("scratch", "on", True),
        ("dev", "off", False),
        ("dev", "perhaps", True),
    ],
)
def test_excluded_sessions_are_left_out_unless_a_person_decided(
    session: str, register: str, *, is_registered: bool
) -> None:
    assert bool(inventory(a_record(session=session, register=register))) == is_registered


def test_a_renamed_window_keeps_its_former_address_for_a_day() -> None:
    before = inventory(a_record())
    renamed = a_record(window="final")
    at_once = inventory(renamed, before=list(before.values()))
    assert at_once["hub-dev-final"].formerly == {"hub-dev-review": NOW}
    last = inventory(renamed, before=list(at_once.values()), now=NOW + FORMER_SECONDS - 1)
    assert last["hub-dev-final"].formerly == {"hub-dev-review": NOW}
    assert inventory(renamed, before=list(last.values()), now=NOW + FORMER_SECONDS)["hub-dev-final"].formerly == {}


def test_a_window_that_takes_its_old_name_again_has_no_former_one_of_it() -> None:
    first = inventory(a_record())
    second = inventory(a_record(window="final"), before=list(first.values()))
    third = inventory(a_record(), before=list(second.values()))
    assert third["hub-dev-review"].formerly == {"hub-dev-final": NOW}


def test_another_window_of_a_restarted_server_inherits_nothing() -> None:
    before = inventory(a_record(window="old"))
    found = inventory(a_record(server_start="2-2"), before=list(before.values()))
    assert found["hub-dev-review"].formerly == {}


def test_a_program_is_remembered_while_the_same_process_has_the_pane() -> None:
    before = list(inventory(a_record(), programs={1001: "claude"}).values())
    assert inventory(a_record(), before=before)["hub-dev-review"].program == "claude"
    assert inventory(a_record(pid=5), before=before)["hub-dev-review"].program == ""
    assert inventory(a_record(), programs={1001: "codex"}, before=before)["hub-dev-review"].program == "codex"


@pytest.mark.parametrize(
    ("record", "programs", "role", "scope"),
    [
        (a_record(role="reviewer", scope="api"), {1001: "claude"}, "reviewer", "api"),
        (a_record(), {1001: "claude"}, "claude", "/work"),
        (a_record(), {}, "bash", "/work"),
    ],
)
def test_role_and_scope_are_chosen_or_inferred(
    record: PaneRecord, programs: dict[int, str], role: str, scope: str
) -> None:
    pane = inventory(record, programs=programs)["hub-dev-review"]
    assert (pane.role, pane.scope) == (role, scope)


def test_a_name_that_a_program_has_made_endless_is_cut() -> None:
    (pane,) = inventory(a_record(window="w" * 1_000_000, role="r" * 1_000_000, cwd="/" + "c" * 1_000_000)).values()
    assert (len(pane.window), len(pane.role), len(pane.cwd)) == (LONGEST_TEXT,) * 3
