"""The union of all slices: versions, merging, and finding the panes that a recipient's name means. Pure."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

import msgspec

from agentmesh.core.address import (
    Address,
    ByHost,
    ByRole,
    Everyone,
    Glob,
    Name,
    PaneId,
    Selector,
    matches_any,
    parse_selectors,
    plain_name,
)
from agentmesh.core.model import LAST_ORDINAL, Pane, Slice, Version
from agentmesh.core.text import is_printable
from agentmesh.errors import AmbiguousAddress, UnknownAddress

FORMER_SECONDS = 24 * 3600
"""How long an address keeps working after its window got another."""

LONGEST_ADDRESS = 2000
"""Characters: two names of hosts and sessions as they come, and a slug."""
_ADDRESS = re.compile(r"[A-Za-z0-9_.-]+")
_TEXTS = (
    *("target", "session", "window", "window_key", "pane", "server", "wanted"),
    *("command", "cwd", "program", "role", "scope", "handle"),
)

Registry = Mapping[str, Slice]
"""Host alias to that host's newest known slice."""


def digest(panes: Iterable[Pane]) -> str:
    """Return a short hash of a slice's content, the same for the same panes in any order.

    >>> digest([])
    '4f53cda18c2baa0c'
    """
    ordered = sorted(panes, key=lambda pane: pane.address)
    return hashlib.sha256(msgspec.json.encode(ordered)).hexdigest()[:16]


def next_slice(current: Slice, panes: tuple[Pane, ...], now: int) -> Slice:
    """Return the slice that follows ``current`` when a scan has found ``panes``; the same one when nothing changed."""
    found = digest(panes)
    if found == current.version.digest:
        return current
    version = Version(current.version.epoch, current.version.counter + 1, found)
    return Slice(current.host, version, now, panes)


def is_outdone(own: Slice, heard: Version) -> bool:
    """Tell whether a host must raise its own slice above one that somebody holds of it: its disk was restored, say.

    Above the last epoch there is nothing: who claims that one lies.
    """
    return own.version < heard and heard.epoch < LAST_ORDINAL


def in_epoch(own: Slice, epoch: int, now: int) -> Slice:
    """Return a host's slice as the first of an epoch."""
    return Slice(own.host, Version(epoch, 0, own.version.digest), now, own.panes)


def merge(known: Registry, heard: Slice) -> Registry:
    """Return the registry with a slice that was heard, if it is newer than the one known of that host."""
    mine = known.get(heard.host)
    if mine is not None and mine.version >= heard.version:
        return known
    return {**known, heard.host: heard}


def is_address(text: str) -> bool:
    """Tell whether a text could be an address: of characters that an address has, and of no more than it needs.

    >>> is_address("hub-dev-review.1"), is_address("*"), is_address("hub:%1"), is_address("")
    (True, False, False, False)
    """
    return len(text) <= LONGEST_ADDRESS and _ADDRESS.fullmatch(text) is not None


def address_prefix(host: str) -> str:
    """Return what the addresses of a host begin with, in lower case.

    >>> address_prefix("Worker-1"), address_prefix("a.b")
    ('worker-1-', 'a-b-')
    """
    return f"{plain_name(host)}-".lower()


def belongs_to(host: str, members: Iterable[str]) -> Callable[[str], bool]:
    """Return what tells whether an address is a host's: of all members that it could be of, the longest name has it.

    >>> is_ours = belongs_to("worker", ["worker-1"])
    >>> is_ours("worker-dev-x"), is_ours("worker-1-x"), is_ours("hub-dev-x")
    (True, False, False)
    """
    own = address_prefix(host)
    longer = tuple(other for member in members if (other := address_prefix(member)).startswith(own) and other != own)

    def is_its(address: str) -> bool:
        return address.lower().startswith(own) and not address.lower().startswith(longer)

    return is_its


def rightful(panes: Iterable[Pane], host: str, members: Iterable[str]) -> tuple[Pane, ...]:
    """Return a host's own entries without the addresses that belong to another member: others would not take those."""
    is_its = belongs_to(host, members)
    return tuple(
        pane
        if all(map(is_its, pane.formerly))
        else msgspec.structs.replace(
            pane, formerly={former: lost for former, lost in pane.formerly.items() if is_its(former)}
        )
        for pane in panes
        if is_its(pane.address)
    )


def is_sound(part: Slice, members: Iterable[str]) -> bool:
    """Tell whether a slice from elsewhere speaks for its own host alone, in characters that harm no terminal."""
    is_its = belongs_to(part.host, members)
    return all(
        pane.host == part.host
        and all(is_its(address) and is_address(address) for address in (pane.address, *pane.formerly))
        and is_printable("".join([getattr(pane, name) for name in _TEXTS]))
        for pane in part.panes
    )


def entries(registry: Registry) -> list[Pane]:
    """Return every entry of every slice, by address."""
    return sorted((pane for part in registry.values() for pane in part.panes), key=lambda pane: pane.address)


class Match(msgspec.Struct, frozen=True):
    """A pane that a recipient's name means."""

    pane: Pane
    renamed_from: str = ""
    """The old address, when it was found by an address that the window has lost."""


def resolve(registry: Registry, text: str, now: int, caller: Pane | None = None) -> list[Match]:
    """Return the panes that ``text`` names, each once, in the order named.

    A name must mean exactly one pane. A selector of several (glob, ``@role:``, ``@host:``, ``@all``) must mean at
    least one, and leaves out the caller's own pane.

    Raises UnknownAddress, AmbiguousAddress.
    """
    known = entries(registry)
    selectors = parse_selectors(text)
    if not selectors:
        raise UnknownAddress(address=repr(text), hint="")
    found: dict[tuple[str, str, str], Match] = {}
    for selector in selectors:
        for match in _select(known, selector, now, caller):
            pane = match.pane
            found.setdefault(tmux_pane(pane), match)
    return list(found.values())


def tmux_pane(pane: Pane) -> tuple[str, str, str]:
    """Return what tells a tmux pane from all others in the mesh: host, server, pane id."""
    return pane.host, pane.server, pane.pane


def _select(known: list[Pane], selector: Selector, now: int, caller: Pane | None) -> list[Match]:
    match selector:
        case Name(text):
            return [_by_name(known, text, now)]
        case PaneId(host, pane):
            return [_by_pane_id(known, host, pane)]
    own = tmux_pane(caller) if caller else None
    windows = [pane for pane in known if tmux_pane(pane) != own and not _is_part(pane)]
    match selector:
        case Glob(pattern):
            chosen = [pane for pane in windows if matches_any(pane.address.lower(), [pattern])]
            typed = pattern
        case ByRole(role):
            chosen = [pane for pane in windows if pane.role.lower() == role.lower()]
            typed = f"@role:{role}"
        case ByHost(host):
            chosen = [pane for pane in windows if pane.host.lower() == host.lower()]
            typed = f"@host:{host}"
        case Everyone():
            chosen = windows
            typed = "@all"
    if not chosen:
        raise UnknownAddress(address=typed, hint="")
    return [Match(pane) for pane in chosen]


def _is_part(pane: Pane) -> bool:
    """Tell whether an entry is one pane of a split window: windows alone are named by selectors of several."""
    return "." in pane.address


def _by_name(known: list[Pane], text: str, now: int) -> Match:
    wanted = text.lower()
    exact = [pane for pane in known if pane.address.lower() == wanted]
    if exact:
        return Match(_only(exact, text))
    handled = [pane for pane in known if pane.handle.lower() == wanted]
    if handled:
        # The panes of a split window have its handle, unless they have their own.
        return Match(_only([pane for pane in handled if not _is_part(pane)] or handled, text))
    renamed = [pane for pane in known if now - _lost(pane, wanted) < FORMER_SECONDS]
    if renamed:
        return Match(max(renamed, key=lambda pane: _lost(pane, wanted)), renamed_from=text)
    ending = [pane for pane in known if pane.address.lower().endswith(f"-{wanted}")]
    if ending:
        return Match(_only(ending, text))
    raise UnknownAddress(address=text, hint=_suggestion(known, wanted))


def _by_pane_id(known: list[Pane], host: str, pane_id: str) -> Match:
    typed = f"{host}:{pane_id}"
    found = [pane for pane in known if pane.pane == pane_id and pane.host.lower() == host.lower()]
    servers = {pane.server: pane for pane in sorted(found, key=lambda pane: pane.address, reverse=True)}
    if not servers:
        raise UnknownAddress(address=typed, hint="")
    return Match(_only(list(servers.values()), typed))


def _only(found: list[Pane], typed: str) -> Pane:
    if len(found) > 1:
        raise AmbiguousAddress(address=typed, candidates=", ".join(sorted(pane.address for pane in found)))
    return found[0]


def _lost(pane: Pane, wanted: str) -> int:
    """Return when a window lost an address, in Unix seconds; 0 when it never had it."""
    return max((lost for former, lost in pane.formerly.items() if former.lower() == wanted), default=0)


def _suggestion(known: list[Pane], wanted: str) -> str:
    names = {pane.address.lower(): pane.address for pane in known}
    names |= {pane.handle.lower(): Address(pane.handle) for pane in known if pane.handle}
    near = get_close_matches(wanted, names, n=3, cutoff=0.5)
    near += [name for name in names if wanted in name and name not in near]
    if not near:
        return ""
    return f"Did you mean {' or '.join(names[name] for name in near[:3])}? "
