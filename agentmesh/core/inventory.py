"""From what tmux lists to the entries of a slice: addresses, the pane behind each, roles, former names. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import msgspec

from agentmesh.core.address import Address, matches_any, pane_address, settle_collisions, window_address
from agentmesh.core.model import Pane
from agentmesh.core.registry import FORMER_SECONDS
from agentmesh.core.text import printable

LONGEST_TEXT = 1000
"""Characters of a window's name, a role, a folder: any program can set the name of its window."""


class PaneRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One pane, as ``tmux list-panes -a`` tells of it. A window linked into two sessions is told of twice."""

    server_pid: int
    server_start: str
    session_id: str
    session: str
    window_id: str
    window_index: int
    window: str
    pane: str
    pane_index: int
    pid: int
    tty: str
    active: bool
    dead: bool
    command: str
    cwd: str
    register: str
    """``@agent-register``: ``on`` or ``off``, where a person decided."""
    handle: str
    chosen_pane: str
    role: str
    scope: str


class Listing(msgspec.Struct, frozen=True):
    """The panes that one tmux server listed."""

    server: str
    panes: tuple[PaneRecord, ...]


class _Entry(msgspec.Struct, frozen=True):
    server: str
    record: PaneRecord

    @property
    def window_key(self) -> str:
        record = self.record
        return f"{self.server}/{record.server_start}/{record.session_id}/{record.window_id}"

    @property
    def age(self) -> tuple[str, str, int, int, int]:
        """Sorts older windows first: tmux counts its windows' ids up."""
        record = self.record
        window, session = int(record.window_id[1:]), int(record.session_id[1:])
        return record.server_start, self.server, window, session, record.pane_index


def take_inventory(
    host: str,
    listings: Sequence[Listing],
    programs: Mapping[int, str],
    before: Sequence[Pane],
    exclude: Sequence[str],
    now: int,
) -> tuple[Pane, ...]:
    """Return the entries of a host's slice.

    ``programs`` names the agent program in front of a pane, by the pane's pid; ``before`` are the entries of the last
    time, from which windows keep the numbers of their addresses, their former names, and the program last seen.
    """
    entries = sorted(
        (
            _Entry(listing.server, record)
            for listing in listings
            for record in listing.panes
            if _is_registered(record, exclude)
        ),
        key=lambda entry: entry.age,
    )
    windows = {key: _distinct(group) for key, group in groupby(entries, key=lambda entry: entry.window_key)}
    wanted = {key: _wanted(host, group[0].record) for key, group in windows.items()}
    earlier = {pane.window_key: pane for pane in before if "." not in pane.address}
    given = settle_collisions(wanted, {key: (pane.wanted, pane.address) for key, pane in earlier.items()})
    last_programs = {(pane.server, pane.pane, pane.pid): pane.program for pane in before}
    result = []
    for key, group in windows.items():
        panes = [
            _pane(host, entry, wanted[key], given[key], programs.get(entry.record.pid) or _last(last_programs, entry))
            for entry in group
        ]
        formerly = _formerly(earlier.get(key), given[key], now)
        main = panes[_main(group, programs)]
        target = main.target.rpartition(".")[0]
        result.append(msgspec.structs.replace(main, target=target, formerly=formerly))
        if len(panes) > 1:
            result += [
                msgspec.structs.replace(pane, address=pane_address(given[key], entry.record.pane_index))
                for pane, entry in zip(panes, group, strict=True)
            ]
    return tuple(sorted(result, key=lambda pane: pane.address))


def _is_registered(record: PaneRecord, exclude: Sequence[str]) -> bool:
    if record.register in {"on", "off"}:
        return record.register == "on"
    return not matches_any(record.session, exclude)


def _distinct(group: Iterable[_Entry]) -> list[_Entry]:
    """Return each pane once: a window linked twice into one session is listed at both indexes."""
    panes: dict[str, _Entry] = {}
    for entry in group:
        panes.setdefault(entry.record.pane, entry)
    return list(panes.values())


def _wanted(host: str, record: PaneRecord) -> Address:
    return window_address(host, record.session, record.window, record.window_index)


def _main(group: Sequence[_Entry], programs: Mapping[int, str]) -> int:
    """Return which pane a window's address means: the one named, else the first with an agent, else the active one."""
    records = [entry.record for entry in group]
    for number, record in enumerate(records):
        if record.chosen_pane and record.chosen_pane in {record.pane, str(record.pane_index)}:
            return number
    for number, record in enumerate(records):
        if programs.get(record.pid):
            return number
    return next((number for number, record in enumerate(records) if record.active), 0)


def _last(last_programs: Mapping[tuple[str, str, int], str], entry: _Entry) -> str:
    return last_programs.get((entry.server, entry.record.pane, entry.record.pid), "")


def _pane(host: str, entry: _Entry, wanted: Address, address: Address, program: str) -> Pane:
    record = entry.record
    return Pane(
        address=address,
        host=host,
        target=f"{record.session}:{record.window_index}.{record.pane_index}",
        session=_text(record.session),
        window=_text(record.window),
        pane=record.pane,
        server=entry.server,
        window_key=entry.window_key,
        wanted=wanted,
        pid=record.pid,
        command=_text(record.command),
        cwd=_text(record.cwd),
        program=program,
        role=_text(record.role or program or record.command),
        scope=_text(record.scope or record.cwd),
        handle=_text(record.handle),
    )


def _formerly(earlier: Pane | None, address: Address, now: int) -> dict[Address, int]:
    if earlier is None:
        return {}
    former = dict(earlier.formerly)
    if earlier.address != address:
        former[earlier.address] = now
    return {old: lost for old, lost in former.items() if old != address and now - lost < FORMER_SECONDS}


def _text(said: str) -> str:
    """Return what a program, or a person, has called something: one line, not too long for a slice."""
    return printable(said)[:LONGEST_TEXT]
