"""Who a peer is: on whose word, and whose slices are taken."""

import pytest

from agentmesh.core.identity import (
    LAST_CLAIMED_EPOCH,
    Identity,
    Seal,
    Terms,
    identity,
    may_outdo,
    objection,
    objection_to_slice,
    shown_sender,
)
from agentmesh.core.model import LAST_ORDINAL, Origin, Version
from tests.core.examples import a_pane, a_slice

PINS = frozenset({"worker"})


@pytest.mark.parametrize(
    ("host", "terms", "said"),
    [
        ("worker", Terms(pinned="worker", names=PINS), ""),
        ("worker", Terms(pinned="worker", names=PINS, require_pinned=True), ""),
        ("other", Terms(), ""),
        ("other", Terms(names=PINS), ""),
        ("other", Terms(pinned="worker", names=PINS), "its key is pinned to worker, and it calls itself other"),
        ("other", Terms(pinned="worker", names=PINS | {"other"}), "its key is pinned to worker"),
        ("worker", Terms(names=PINS), "a key is pinned to worker, and it called with another"),
        ("worker", Terms(pinned="worker"), "has been revoked"),
        ("other", Terms(names=PINS, require_pinned=True), "peers authorize other KEY.pub"),
    ],
)
def test_a_caller_is_who_its_key_says_or_refused_with_a_remedy(host: str, terms: Terms, said: str) -> None:
    reason = objection(host, terms)
    assert (said in reason) if said else reason == ""


def test_how_a_peer_is_known() -> None:
    assert identity(Terms(), dialled=True) is Identity.HOST_KEY
    assert identity(Terms(pinned="worker", names=PINS), dialled=False) is Identity.PINNED
    assert identity(Terms(names=PINS), dialled=False) is Identity.CLAIMED
    assert identity(Terms(pinned="worker", names=PINS), dialled=True, via="hub") is Identity.PINNED
    assert identity(Terms(), dialled=True, via="hub") is Identity.CLAIMED


KEYS = frozenset({"the key"})
NO_KEYS: frozenset[str] = frozenset()


TAKEN = [
    (Origin("worker", "pinned"), "", KEYS, {True, False}),
    (Origin("worker", "host key"), "another key", KEYS, {True, False}),
    (Origin("worker", "claimed"), "", NO_KEYS, {False}),
    (Origin("relay", "pinned"), "the key", KEYS, {True, False}),
    (Origin("relay", "claimed"), "the key", KEYS, {True, False}),
    (Origin("relay", "pinned"), "another key", KEYS, set()),
    (Origin("relay", "pinned"), "", KEYS, set()),
    (Origin("relay", "pinned"), "another key", NO_KEYS, {False}),
    (Origin("relay", "host key"), "", NO_KEYS, {False}),
]
"""Who tells of a slice of worker's, who signed it, which keys are pinned to worker; with which ``require_pinned`` it is
taken."""


@pytest.mark.parametrize(("teller", "signer", "keys", "taken"), TAKEN)
def test_a_slice_is_taken_from_its_host_or_with_its_signature(
    teller: Origin, signer: str, keys: frozenset[str], taken: set[bool]
) -> None:
    part = a_slice(host="worker")
    for required in (True, False):
        assert (not objection_to_slice(part, teller, signer, keys, require_pinned=required)) is (required in taken)


def test_a_claim_uses_up_no_numbers_and_a_signature_may() -> None:
    assert may_outdo(Version(LAST_CLAIMED_EPOCH, 0, ""), is_signed=False)
    assert not may_outdo(Version(LAST_CLAIMED_EPOCH + 1, 0, ""), is_signed=False)
    assert may_outdo(Version(LAST_ORDINAL, 0, ""), is_signed=True)


def test_what_is_signed_says_what_it_is() -> None:
    assert Seal(b'{"host":"hub"}').signed == b'agentmesh slice\0{"host":"hub"}'


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        ("hub-dev-review", "hub-dev-review (worker)"),
        ("HUB-dev-review", "HUB-dev-review (worker)"),
        ("hub-dev-review (as boss)", "hub-dev-review (as boss) (worker)"),
        ("worker-dev-lead", "worker-dev-lead"),
        ("nightly", "nightly"),
        ("worker", "worker"),
        ("", ""),
    ],
)
def test_a_sender_that_is_another_host_s_address_is_shown_with_where_it_came_from(sender: str, shown: str) -> None:
    lead = a_pane("worker-dev-lead", host="worker")
    registry = {"hub": a_slice(a_pane()), "worker": a_slice(lead, host="worker")}
    assert shown_sender(sender, "worker", registry) == shown
