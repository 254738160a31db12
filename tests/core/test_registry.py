"""The registry: merging slices, and finding what a recipient's name means."""

from functools import reduce

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.address import Address
from agentmesh.core.model import Pane, Slice, Version
from agentmesh.core.registry import (
    FORMER_SECONDS,
    Registry,
    belongs_to,
    digest,
    is_sound,
    merge,
    next_slice,
    resolve,
    rightful,
)
from agentmesh.errors import AmbiguousAddress, UnknownAddress
from tests.core.examples import NOW, a_pane, a_slice, panes, versions

heard = st.lists(st.builds(Slice, host=st.sampled_from(["hub", "worker"]), version=versions, time=st.just(NOW)))


def merged(slices: list[Slice]) -> Registry:
    return reduce(merge, slices, {})


@given(heard.flatmap(lambda slices: st.tuples(st.just(slices), st.permutations(slices))))
def test_slices_merge_to_the_same_in_any_order(orders: tuple[list[Slice], list[Slice]]) -> None:
    assert merged(orders[0]) == merged(orders[1])


@given(heard, heard)
def test_merging_again_changes_nothing(first: list[Slice], second: list[Slice]) -> None:
    known = merged(first + second)
    assert reduce(merge, first, known) is known


@given(heard, heard)
def test_what_one_host_merged_another_can_take_up(first: list[Slice], second: list[Slice]) -> None:
    relayed = list(merged(second).values())
    assert merged(first + relayed) == merged(first + second)


@given(heard)
def test_the_newest_slice_of_each_host_wins(slices: list[Slice]) -> None:
    for host, part in merged(slices).items():
        assert part.version == max(other.version for other in slices if other.host == host)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (Version(1, 9, "f"), Version(2, 0, "a")),
        (Version(1, 1, "f"), Version(1, 2, "a")),
        (Version(1, 1, "a"), Version(1, 1, "b")),
    ],
)
def test_epoch_outranks_counter_and_counter_outranks_digest(older: Version, newer: Version) -> None:
    assert older < newer


@given(st.lists(panes, unique_by=lambda pane: pane.address))
def test_a_digest_is_the_same_in_any_order(some: list[Pane]) -> None:
    assert digest(some) == digest(reversed(some))


def test_an_unchanged_scan_is_the_same_slice() -> None:
    current = next_slice(a_slice(), (a_pane(),), NOW)
    assert next_slice(current, (a_pane(),), NOW + 5) is current


def test_a_changed_scan_is_a_newer_slice_of_the_same_epoch() -> None:
    current = next_slice(a_slice(epoch=4), (a_pane(),), NOW)
    following = next_slice(current, (a_pane(role="tester"),), NOW + 5)
    assert (following.version.epoch, following.version.counter) == (4, current.version.counter + 1)
    assert following.time == NOW + 5
    assert following.version.digest == digest(following.panes)


REVIEW = a_pane("hub-dev-review", handle="Reviewer", role="reviewer", pane="%1")
BUILD = a_pane("hub-dev-build", pane="%2", role="builder", formerly={Address("hub-dev-compile"): NOW})
SPLIT = [a_pane(f"hub-dev-split{part}", pane=f"%{3 + (part == '.1')}", handle="duo") for part in ("", ".0", ".1")]
PARTS = [("", "%5", "lead"), (".0", "%5", "lead"), (".1", "%6", "guest")]
WORKER = [
    a_pane("worker-1-api-review", host="worker-1", pane="%1", role="reviewer"),
    a_pane("worker-1-api-tests", host="worker-1", pane="%2"),
]
MESH = merged([a_slice(REVIEW, BUILD, *SPLIT), a_slice(*WORKER, host="worker-1")])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hub-dev-review", "hub-dev-review"),
        ("HUB-Dev-Review", "hub-dev-review"),
        ("reviewer", "hub-dev-review"),
        ("build", "hub-dev-build"),
        ("dev-review", "hub-dev-review"),
        ("split", "hub-dev-split"),
        ("duo", "hub-dev-split"),
        ("hub-dev-split.1", "hub-dev-split.1"),
        ("split.1", "hub-dev-split.1"),
        ("hub:%2", "hub-dev-build"),
        ("hub:%3", "hub-dev-split"),
        ("hub:%4", "hub-dev-split.1"),
        ("Worker-1:%2", "worker-1-api-tests"),
    ],
)
def test_a_name_means_one_pane(text: str, address: str) -> None:
    (match,) = resolve(MESH, text, NOW)
    assert (match.pane.address, match.renamed_from) == (address, "")


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("worker-1-*", ["worker-1-api-review", "worker-1-api-tests"]),
        ("*-REVIEW", ["hub-dev-review", "worker-1-api-review"]),
        ("*split*", ["hub-dev-split"]),
        ("@role:Reviewer", ["hub-dev-review", "worker-1-api-review"]),
        ("@host:HUB", ["hub-dev-build", "hub-dev-review", "hub-dev-split"]),
        (
            "@all",
            ["hub-dev-build", "hub-dev-review", "hub-dev-split", "worker-1-api-review", "worker-1-api-tests"],
        ),
        ("build,worker-1-api-tests", ["hub-dev-build", "worker-1-api-tests"]),
        ("build,hub:%2,*-build", ["hub-dev-build"]),
    ],
)
def test_several_are_named_at_once_and_each_is_meant_once(text: str, addresses: list[str]) -> None:
    assert [match.pane.address for match in resolve(MESH, text, NOW)] == addresses


@pytest.mark.parametrize("text", ["hub-*", "@host:hub", "@role:reviewer", "@all"])
def test_a_selector_of_several_leaves_the_caller_out(text: str) -> None:
    addresses = [match.pane.address for match in resolve(MESH, text, NOW, caller=REVIEW)]
    assert addresses
    assert "hub-dev-review" not in addresses


def test_a_caller_in_a_part_of_a_split_window_is_left_out() -> None:
    whole = msgspec.structs.replace(SPLIT[1], address=Address("hub-dev-split"))
    mesh = merged([a_slice(whole, *SPLIT[1:], BUILD)])
    assert [match.pane.address for match in resolve(mesh, "@all", NOW, caller=SPLIT[1])] == ["hub-dev-build"]


def test_a_pane_of_a_split_window_has_a_handle_of_its_own() -> None:
    parts = [a_pane(f"hub-dev-w{part}", pane=pane, handle=handle) for part, pane, handle in PARTS]
    mesh = merged([a_slice(*parts)])
    assert [match.pane.address for name in ("lead", "guest") for match in resolve(mesh, name, NOW)] == [
        "hub-dev-w",
        "hub-dev-w.1",
    ]


def test_the_caller_can_name_its_own_pane() -> None:
    assert [match.pane for match in resolve(MESH, "hub-dev-review", NOW, caller=REVIEW)] == [REVIEW]


def test_a_former_address_works_for_a_day_and_says_so() -> None:
    (match,) = resolve(MESH, "hub-dev-compile", NOW + FORMER_SECONDS - 1)
    assert (match.pane.address, match.renamed_from) == ("hub-dev-build", "hub-dev-compile")
    with pytest.raises(UnknownAddress):
        resolve(MESH, "hub-dev-compile", NOW + FORMER_SECONDS)


def test_an_address_means_its_present_window_rather_than_a_former_one() -> None:
    usurper = a_pane("hub-dev-compile", pane="%9")
    (match,) = resolve(merged([a_slice(BUILD, usurper)]), "hub-dev-compile", NOW)
    assert match.pane == usurper


def test_a_former_address_means_the_window_that_lost_it_last() -> None:
    lost = Address("hub-dev-x")
    first = a_pane("hub-dev-first", pane="%1", formerly={lost: NOW - 9, Address("hub-dev-y"): NOW})
    last = a_pane("hub-dev-last", pane="%2", formerly={lost: NOW - 5})
    (match,) = resolve(merged([a_slice(first, last)]), "hub-dev-x", NOW)
    assert match.pane == last


@pytest.mark.parametrize(
    ("text", "candidates"), [("review", "hub-dev-review, worker-1-api-review"), ("twin", "hub-dev-a, hub-dev-b")]
)
def test_an_ambiguous_name_lists_its_candidates(text: str, candidates: str) -> None:
    twins = [a_pane("hub-dev-a", handle="twin", pane="%7"), a_pane("hub-dev-b", handle="twin", pane="%8")]
    mesh = merged([a_slice(REVIEW, *twins), a_slice(*WORKER, host="worker-1")])
    with pytest.raises(AmbiguousAddress) as refused:
        resolve(mesh, text, NOW)
    assert refused.value.facts["candidates"] == candidates


def test_a_pane_id_of_two_tmux_servers_is_ambiguous() -> None:
    with pytest.raises(AmbiguousAddress):
        resolve(merged([a_slice(REVIEW, a_pane("hub-x-y", server="other", pane="%1"))]), "hub:%1", NOW)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("hub-dev-revew", "Did you mean hub-dev-review or hub-dev-split or hub-dev-build?"),
        ("api", "Did you mean worker-1-api-review or worker-1-api-tests?"),
        ("zzzzzz", ""),
        ("hub:%99", ""),
        ("nowhere-*", ""),
        ("@role:cook", ""),
        ("@host:moon", ""),
        (",", ""),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_ones(text: str, hint: str) -> None:
    with pytest.raises(UnknownAddress) as refused:
        resolve(MESH, text, NOW)
    assert str(refused.value.facts["hint"]).strip() == hint


def test_one_unknown_name_among_several_refuses_them_all() -> None:
    with pytest.raises(UnknownAddress):
        resolve(MESH, "build,zzzzzz", NOW)


@pytest.mark.parametrize(
    ("part", "sound"),
    [
        (a_slice(REVIEW, *SPLIT), True),
        (a_slice(*WORKER, host="worker-1"), True),
        (a_slice(a_pane("my-host-x", host="My host"), host="My host"), True),
        (a_slice(a_pane("worker-1-api-review")), False),
        (a_slice(a_pane("hub-dev-x", host="worker-1")), False),
        (a_slice(REVIEW, host="worker-1"), False),
        (a_slice(a_pane("hub-dev-x\n[agents.forged]")), False),
        (a_slice(a_pane("hub-dev x")), False),
        *(
            (a_slice(a_pane("hub-dev-x", **{name: "a\x1b[31mb"})), False)
            for name in ("window", "role", "cwd", "target", "wanted", "window_key")
        ),
        (a_slice(a_pane(formerly={Address("hub-dev-old"): NOW})), True),
        (a_slice(a_pane(formerly={Address("worker-1-api-review"): NOW})), False),
        (a_slice(a_pane(formerly={Address("hub-dev-\x1b[31m"): NOW})), False),
        (a_slice(a_pane("worker-api-x", host="worker"), host="worker"), True),
        (a_slice(a_pane("worker-1-api-x", host="worker"), host="worker"), False),
        (a_slice(a_pane("WORKER-1-api-x", host="worker"), host="worker"), False),
        (a_slice(a_pane("worker-2-api-x", host="worker"), host="worker"), True),
    ],
)
def test_a_sound_slice_speaks_for_its_own_host_in_plain_characters(part: Slice, *, sound: bool) -> None:
    assert is_sound(part, {"hub", "worker", "worker-1", "My host"}) == sound


NESTED = ["w", "w-1", "w-1-1", "W-2", "x"]


@given(st.sampled_from(NESTED), st.text(alphabet="12-ab", min_size=1, max_size=6))
def test_an_address_belongs_to_one_member(host: str, rest: str) -> None:
    owners = [member for member in NESTED if belongs_to(member, NESTED)(f"{host}-{rest}")]
    assert len(owners) == 1
    assert owners[0].lower().startswith(host.lower())


def test_a_host_keeps_to_itself_what_belongs_to_another_member() -> None:
    mine = a_pane("w-dev-x", host="w", formerly={Address("w-1-x"): NOW, Address("w-old"): NOW})
    kept = rightful([mine, a_pane("w-1-x", host="w")], "w", NESTED)
    assert kept == (msgspec.structs.replace(mine, formerly={Address("w-old"): NOW}),)
    assert is_sound(a_slice(*kept, host="w"), NESTED)
