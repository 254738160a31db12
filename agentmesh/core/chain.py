"""A record that nobody can change unseen: each line carries the hash of the one before it. Pure.

A line is a JSON object; ``previous`` is the SHA-256, in hex, of the bytes of the line before without its line break,
and 64 zeros in the first.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from agentmesh.core.event import Event, is_genuine
from agentmesh.core.model import HERE, Origin, UnixTime

NONE_BEFORE = "0" * 64


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was accepted."""

    number: int
    """1 for the first of its job."""
    previous: str = NONE_BEFORE
    received: UnixTime
    """When it was accepted, by the clock of the job's home."""
    origin: Origin = HERE
    """The host that told of it, and how that is known."""
    event: Event


class BadLine(ValueError):
    """A line that isn't what was written, by its number, from 1."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number = number
        self.reason = reason


def digest(line: bytes) -> str:
    """Return what the next line calls this one."""
    return sha256(line).hexdigest()


def chained(entries: Iterable[Entry], last: bytes = b"") -> list[bytes]:
    """Return entries as lines that follow on the last one, which is empty when there is none."""
    lines = []
    for entry in entries:
        last = msgspec.json.encode(msgspec.structs.replace(entry, previous=digest(last) if last else NONE_BEFORE))
        lines.append(last)
    return lines


def unchained(lines: Iterable[bytes]) -> list[Entry]:
    """Return the entries of lines. Raises BadLine at the first that is no entry, or follows on another line.

    >>> unchained([b"{}"])
    Traceback (most recent call last):
    agentmesh.core.chain.BadLine: line 1: it is no entry (Object missing required field `number`)
    """
    entries: list[Entry] = []
    before = NONE_BEFORE
    for number, line in enumerate(lines, 1):
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadLine(number, f"it is no entry ({error})") from error
        if entry.number != number:
            raise BadLine(number, f"it says that it is line {entry.number}")
        if entry.previous != before:
            raise BadLine(number, "the line before it was changed")
        before = digest(line)
        entries.append(entry)
    return entries


def verified(lines: Iterable[bytes], token: str) -> list[Entry]:
    """Return the entries of lines that are a chain, each signed with the token, if there is one, and in its order.

    Raises BadLine.
    """
    entries = unchained(lines)
    highest: dict[str, int] = {}
    for entry in entries:
        event = entry.event
        if token and not is_genuine(event, token):
            raise BadLine(entry.number, "its signature is wrong")
        if event.seq <= highest.get(event.sender, 0):
            raise BadLine(entry.number, "its seq isn't above the one before")
        highest[event.sender] = event.seq
    return entries
