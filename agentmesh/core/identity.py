"""Who a peer is, and how that is known; whose word on a host's slice is taken. Pure.

A key is *pinned* to a host's name by a line of an ``authorized_keys`` file (core/authorized_keys.py). With its own key
a host also signs its slice, so that a relay can pass it on but make none up.
"""

from enum import StrEnum

import msgspec

from agentmesh.core.address import Address
from agentmesh.core.model import LAST_ORDINAL, Origin, Slice, Version
from agentmesh.core.registry import Registry

SIGNED_PREFIX = b"agentmesh slice\0"
"""Stands before a slice's bytes when they are signed: such a signature means nothing anywhere else."""
LAST_CLAIMED_EPOCH = LAST_ORDINAL // 2
"""No honest epoch comes near: it counts the starts of an agent."""


class Identity(StrEnum):
    """How it is known who a peer is."""

    PINNED = "pinned"
    """It has proven to have a key that is pinned to its name here."""
    HOST_KEY = "host key"
    """This host dialled it, and SSH has verified its host key."""
    CLAIMED = "claimed"
    """It says so itself: it called with a key that may log in here, or speaks over a host that says so, too."""


class Pin(msgspec.Struct, frozen=True, order=True):
    """A key that is pinned to a host's name."""

    name: str
    key: str
    """``ssh-ed25519 AAAA…``: algorithm and key, as in a public key's file."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """On which terms a conversation begins."""

    pinned: str = ""
    """The name that the peer's key is pinned to; empty when it isn't pinned, or this host has dialled."""
    keys: frozenset[str] = frozenset()
    """Those pinned to that name of which the peer has one. When one of them is revoked, that may be its own."""
    names: frozenset[str] = frozenset()
    """The hosts that have a pinned key here."""
    require_pinned: bool = False


def identity(terms: Terms, *, dialled: bool, via: str = "") -> Identity:
    """Return how it is known who a peer is, to whom there is no objection; over ``via`` it has proven a key, too.

    >>> identity(Terms(pinned="hub"), dialled=False).value
    'pinned'
    """
    if dialled and not via:
        return Identity.HOST_KEY
    return Identity.PINNED if terms.pinned else Identity.CLAIMED


def objection(host: str, terms: Terms, via: str = "") -> str:
    """Return why a peer that calls itself ``host`` is refused, and what to do; empty when it isn't.

    >>> objection("worker-1", Terms(pinned="worker-1", names=frozenset({"worker-1"})))
    ''
    """
    if terms.pinned and terms.pinned != host:
        return (
            f"its key is pinned to {terms.pinned}, and it calls itself {host}; one host's key can't speak for another"
        )
    if terms.pinned and host not in terms.names:
        return (
            f"the key that was pinned to {host} has been revoked; `agentmesh peers authorize {host}` lets it in again"
        )
    if terms.pinned:
        return ""
    if host in terms.names and via:
        return (
            f"a key is pinned to {host}, and who speaks over {via} has another; somebody pretends to be {host}, or it"
            f" has a new key: then run `agentmesh peers authorize {host} KEY.pub` here, with its ~/.agents/key.pub"
        )
    if host in terms.names:
        return (
            f"a key is pinned to {host}, and it called with another; let it call with its ~/.agents/key, or run"
            f" `agentmesh peers revoke {host}` here"
        )
    if terms.require_pinned:
        return (
            f"require_pinned is set, and no key is pinned to {host}; run `agentmesh peers authorize {host} KEY.pub`"
            " here, with its ~/.agents/key.pub"
        )
    return ""


class Seal(msgspec.Struct, frozen=True):
    """A slice's exact bytes, and its host's signature of them; all empty when nobody signed it."""

    text: bytes = b""
    """The slice as its host wrote it, JSON: a relay of another version passes on also what it doesn't know."""
    key: str = ""
    """The public key of who signed it: algorithm and key."""
    signature: str = ""
    """Base64 of SSH's form of a signature (RFC 8709, section 6)."""

    @property
    def signed(self) -> bytes:
        """What the signature is of."""
        return SIGNED_PREFIX + self.text


UNSIGNED = Seal()


def objection_to_slice(part: Slice, teller: Origin, signer: str, keys: frozenset[str], *, require_pinned: bool) -> str:
    """Return why a slice is not taken; empty when it is.

    ``signer`` is the key that a signature that is right was made with, or empty; ``keys`` are those pinned to the host.
    """
    if teller.host == part.host and teller.identity in {Identity.PINNED, Identity.HOST_KEY}:
        return ""
    if signer in keys:
        return ""
    if keys:
        return f"it isn't signed with a key that is pinned to {part.host}"
    return f"require_pinned is set, and no key is pinned to {part.host}" if require_pinned else ""


def may_outdo(heard: Version, *, is_signed: bool) -> bool:
    """Tell whether a host goes above a version that somebody holds of its own slice.

    What it has not signed itself is believed up to a bound, which heals a lie; beyond, a lie would use up all numbers.
    """
    return is_signed or heard.epoch <= LAST_CLAIMED_EPOCH


def shown_sender(sender: str, origin: str, registry: Registry) -> str:
    """Return the sender's name as a pane shows it: with the host that it came from, when it is another host's address.

    >>> shown_sender("nightly", "worker-1", {})
    'nightly'
    """
    address = Address(sender.split(" ", 1)[0].lower())
    owners = {part.host for part in registry.values() for pane in part.panes if pane.address.lower() == address}
    return f"{sender} ({origin})" if owners - {origin} else sender
