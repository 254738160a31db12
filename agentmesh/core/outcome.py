"""What became of each thing that a command was asked to do: told to a program as JSON, to a person as a line. Pure."""

import msgspec

JSON = "--json"
"""The word with which a command asks the agent for these as JSON."""
LARGEST_SKEW = 5.0
"""Seconds that a host's clock may differ before it is said."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one peer."""

    host: str


class Failed(Outcome, frozen=True, kw_only=True):
    """Nothing was done."""

    error: str
    exit_code: int

    def __str__(self) -> str:
        return f"{self.host}: {self.error}"


class Met(Outcome, frozen=True, kw_only=True):
    """What a host said of itself."""

    version: str
    oldest: int
    """The oldest version of the protocol that it speaks."""
    newest: int
    key: str
    """Its key's fingerprint; empty when it tells none."""
    skew: float
    """How many seconds its clock was ahead of ours."""

    @property
    def described(self) -> str:
        """Its versions and its key."""
        key = f", key {self.key}" if self.key else ""
        return f"agentmesh {self.version}, protocol {self.oldest} to {self.newest}{key}"

    @property
    def warning(self) -> str:
        """That its clock is wrong, or ours; else empty."""
        if abs(self.skew) <= LARGEST_SKEW:
            return ""
        way = "ahead of" if self.skew > 0 else "behind"
        return f"its clock is {abs(self.skew):.0f} s {way} this host's; set one of them right"


class Added(Met, frozen=True, kw_only=True):
    """It is a peer now."""

    def __str__(self) -> str:
        lines = [f"{self.host}: added; {self.described}", *([f"{self.host}: {self.warning}"] if self.warning else [])]
        return "\n".join(lines)


class Pinged(Met, frozen=True, kw_only=True):
    """It has answered over its link."""

    latency: float
    """Seconds there and back."""
    identity: str
    """How it is known."""

    def __str__(self) -> str:
        clock = self.warning or f"clock {self.skew:+.1f} s"
        return f"{self.host}: {self.latency * 1000:.1f} ms, {self.identity}, {self.described}, {clock}"


class Removed(Outcome, frozen=True, kw_only=True):
    """It is no peer any more."""

    keys: int
    """How many keys were pinned to its name."""
    ended: int
    """How many messages waited for it."""
    holders: list[str]
    """Other hosts that still have it as a peer, as far as known."""

    def __str__(self) -> str:
        told = f"{self.host}: removed"
        told += f"; {_counted(self.keys, 'pinned key')} revoked" if self.keys else ""
        told += f"; {_counted(self.ended, 'message')} for it ended, see `agentmesh outbox --all`" if self.ended else ""
        if self.holders:
            still = ", ".join(self.holders)
            told += f". Still its peers: {still}; run `agentmesh peers remove {self.host}` there too"
        return f"{told}."


class Authorized(Outcome, frozen=True, kw_only=True):
    """A key is pinned to its name."""

    key: str
    """The key's fingerprint."""
    is_new: bool
    file: str
    is_peer: bool

    def __str__(self) -> str:
        told = f"{self.host}: {self.key} is {'now' if self.is_new else 'already'} pinned, in {self.file}"
        more = f"\n{self.host}: not a peer yet; run `agentmesh peers add {self.host}`"
        return told if self.is_peer else told + more


class Revoked(Outcome, frozen=True, kw_only=True):
    """No key is pinned to its name any more."""

    keys: int
    """How many were."""
    is_peer: bool

    def __str__(self) -> str:
        told = f"{self.host}: revoked; what its key had open is cut"
        more = f"\n{self.host}: this host still dials it; `agentmesh peers remove {self.host}` ends that too"
        return told + more if self.is_peer else told


class Handled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message that was sent again, or taken back."""

    id: str
    state: str
    """How far it had got; of one that was taken back now: how far it is."""
    detail: str
    """What was done, where the state doesn't say it."""
    again: str = ""
    """The id of the new message, where it was sent again as one."""

    def __str__(self) -> str:
        return f"{self.id[:8]} {self.state}{f': {self.detail}' if self.detail else ''}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"
