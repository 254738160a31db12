"""What is found when a host is looked over: how it stands with one thing, and what a person can do about it. Pure."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Health(StrEnum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as well, or as safely, as it could."""
    BROKEN = "broken"


class Finding(msgspec.Struct, frozen=True):
    """What was found of one thing."""

    name: str
    """What was looked at: ``agent``, ``peer worker-1``."""
    state: Health
    seen: str
    remedy: str = ""
    """What to do, in one line, with a command where there is one; empty when all is well."""


def ok(name: str, seen: str) -> Finding:
    """Return that something is well."""
    return Finding(name, Health.OK, seen)


def warning(name: str, seen: str, remedy: str) -> Finding:
    """Return that something could be better."""
    return Finding(name, Health.WARNING, seen, remedy)


def broken(name: str, seen: str, remedy: str) -> Finding:
    """Return that something doesn't work."""
    return Finding(name, Health.BROKEN, seen, remedy)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing is broken.

    >>> is_healthy([ok("tmux", "3.4"), warning("lingering", "off", "turn it on")])
    True
    """
    return all(finding.state is not Health.BROKEN for finding in findings)
