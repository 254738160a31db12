"""Names of panes: slugs, addresses, and the selectors that people type. Pure.

An address is a key: look it up in the registry, never take it apart.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple, NewType, TypeVar

Address = NewType("Address", str)
"""``<host>-<session>-<window>[.<pane-index>]``, the stable name of a window or of one pane in it."""

Window = TypeVar("Window", bound=Hashable)

SLUG_LENGTH = 40
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PANE_ID = re.compile(r"(?P<host>[^:]+):(?P<pane>%\d+)")


def slug(text: str) -> str:
    """Reduce a window's name to lower-case letters, digits and single hyphens, at most 40 characters.

    >>> slug("API review (2)")
    'api-review-2'
    >>> slug("✨")
    ''
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:SLUG_LENGTH].strip("-")


def plain_name(text: str) -> str:
    """Return a host's or session's name as it stands if it is made of letters, digits, ``_`` and ``-``, else its slug.

    >>> plain_name("Dev_1"), plain_name("my project")
    ('Dev_1', 'my-project')
    """
    return text if _PLAIN_NAME.fullmatch(text) else slug(text)


def window_address(host: str, session: str, window: str, index: int) -> Address:
    """Return the address of a window, before collisions are settled.

    >>> window_address("hub", "dev", "API review", 3)
    'hub-dev-api-review'
    >>> window_address("hub", "dev", "✨", 3)
    'hub-dev-win3'
    """
    return Address(f"{plain_name(host)}-{plain_name(session)}-{slug(window) or f'win{index}'}")


def pane_address(window: Address, index: int) -> Address:
    """Return the address of one pane of a split window.

    >>> pane_address(Address("hub-dev-review"), 1)
    'hub-dev-review.1'
    """
    return Address(f"{window}.{index}")


def settle_collisions(
    wanted: Mapping[Window, Address], held: Mapping[Window, tuple[Address, Address]]
) -> dict[Window, Address]:
    """Give each window an address of its own: the older keeps the name, the younger gets ``-2``, ``-3`` and so on.

    ``wanted`` maps windows, oldest first, to the address each would have alone. ``held`` maps windows to the pair
    (wanted, given) of the last time: a window keeps what it was given for as long as it wants the same.

    >>> settle_collisions({"@1": Address("h-s-w"), "@2": Address("h-s-w")}, {})
    {'@1': 'h-s-w', '@2': 'h-s-w-2'}
    >>> settle_collisions({"@2": Address("h-s-w")}, {"@2": (Address("h-s-w"), Address("h-s-w-2"))})
    {'@2': 'h-s-w-2'}
    """
    given: dict[Window, Address] = {}
    taken: set[Address] = set()
    for window, address in wanted.items():
        before = held.get(window)
        if before and before[0] == address and before[1] not in taken:
            given[window] = before[1]
            taken.add(before[1])
    for window, address in wanted.items():
        if window in given:
            continue
        candidate, number = address, 1
        while candidate in taken:
            number += 1
            candidate = Address(f"{address}-{number}")
        given[window] = candidate
        taken.add(candidate)
    return {window: given[window] for window in wanted}


class Name(NamedTuple):
    """One pane, by its address, its handle, or a unique ending of its address."""

    text: str


class PaneId(NamedTuple):
    """One pane by host and tmux pane id: ``hub:%12``."""

    host: str
    pane: str


class Glob(NamedTuple):
    """Every pane whose address matches a shell pattern: ``worker-*-review``."""

    pattern: str


class ByRole(NamedTuple):
    """Every pane with a role: ``@role:reviewer``."""

    role: str


class ByHost(NamedTuple):
    """Every window of a host: ``@host:worker-1``."""

    host: str


class Everyone(NamedTuple):
    """Every window of the mesh: ``@all``."""


Selector = Name | PaneId | Glob | ByRole | ByHost | Everyone


def parse_selectors(text: str) -> list[Selector]:
    """Read what a person typed as a recipient; commas separate several.

    >>> parse_selectors("hub-dev-review,@role:tester,hub:%12")
    [Name(text='hub-dev-review'), ByRole(role='tester'), PaneId(host='hub', pane='%12')]
    """
    return [_parse_selector(part) for part in (part.strip() for part in text.split(",")) if part]


def _parse_selector(text: str) -> Selector:
    if text == "@all":
        return Everyone()
    kind, _, value = text.partition(":")
    if kind == "@role" and value:
        return ByRole(value)
    if kind == "@host" and value:
        return ByHost(value)
    if found := _PANE_ID.fullmatch(text):
        return PaneId(found["host"], found["pane"])
    if any(character in text for character in "*?["):
        return Glob(text.lower())
    return Name(text)


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a name matches one of several shell patterns.

    >>> matches_any("test-7", ["scratch", "test-*"])
    True
    """
    return any(fnmatchcase(name, pattern) for pattern in patterns)
