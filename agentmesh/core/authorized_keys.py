"""The lines of an ``authorized_keys`` file (sshd(8)) that pin a key to a host's name; all others stay. Pure.

A pinned key can start ``agentmesh wire --peer NAME``, which says the name to the agent, and nothing else. Text is the
file's bytes as Latin-1: whatever they mean, they go back as they came.
"""

import re
import shlex
from collections.abc import Iterator

import msgspec

from agentmesh.core.identity import Pin

_COMMAND = re.compile(r'(?:^|,)command="(?P<command>(?:[^"\\]|\\.)*)"', re.IGNORECASE)
_PINNING = re.compile(r"(?:^|[\s/'])agentmesh'? wire --peer (?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)")
_OPTIONS = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')
_ALGORITHM = re.compile(r"(?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+")


class Entry(msgspec.Struct, frozen=True):
    """A line that lets a key in."""

    number: int
    """From 1 on, as editors count."""
    key: str
    """Algorithm and key."""
    name: str
    """The host that the key is pinned to; empty for any other line."""


def pinned_name(command: str) -> str:
    """Return the name that a forced command pins a key to; empty when it is another command.

    >>> pinned_name("/home/me/.agents/bin/agentmesh wire --peer worker-1")
    'worker-1'
    """
    found = _PINNING.search(command)
    return found["name"] if found and found.end() == len(command) else ""


def entries(text: str) -> list[Entry]:
    """Return the lines that let a key in."""
    found = (_entry(number, line) for number, line in enumerate(_lines(text), 1))
    return [entry for entry in found if entry is not None]


def pins(text: str) -> set[Pin]:
    """Return the keys that are pinned."""
    return {Pin(entry.name, entry.key) for entry in entries(text) if entry.name}


def forced_command(launcher: str, home: str, name: str) -> str:
    """Return what a pinned key starts; ``home`` is given where it isn't the usual one."""
    where = f"env AGENTMESH_HOME={shlex.quote(home)} " if home else ""
    return f"{where}{shlex.quote(launcher)} wire --peer {name}"


def with_pin(text: str, pin: Pin, command: str) -> str:
    """Return the file with a line for a pin: the same text, when it is there."""
    quoted = command.replace("\\", "\\\\").replace('"', '\\"')
    line = f'restrict,command="{quoted}" {pin.key} agentmesh:{pin.name}\n'
    if line in _lines(text):
        return text
    before = without_pins(text, pin.name, pin.key)
    return before + ("\n" if before and not before.endswith("\n") else "") + line


def without_pins(text: str, name: str, key: str = "") -> str:
    """Return the file without the lines that pin a key, or one key, to a name."""
    gone = {entry.number for entry in entries(text) if entry.name == name and key in {"", entry.key}}
    return "".join(line for number, line in enumerate(_lines(text), 1) if number not in gone)


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _entry(number: int, line: str) -> Entry | None:
    rest = line.strip(" \t\r\n")
    if not rest or rest.startswith("#"):
        return None
    options = ""
    if not _ALGORITHM.match(rest) and (found := _OPTIONS.match(rest)):
        options, rest = found[0], rest[found.end() :].lstrip(" \t")
    words = rest.split(None, 2)
    if len(words) < 2 or not _ALGORITHM.fullmatch(words[0]):  # noqa: PLR2004 (an algorithm and a key)
        return None
    return Entry(number, f"{words[0]} {words[1]}", next(_pinned_names(options), ""))


def _pinned_names(options: str) -> Iterator[str]:
    for found in _COMMAND.finditer(options):
        command = re.sub(r"\\(.)", r"\1", found["command"])
        if name := pinned_name(command):
            yield name
