"""agentmesh log: what the agent has written, and what it writes."""

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TextIO

import msgspec
import typer

from agentmesh.config import Paths
from agentmesh.core.text import without_controls
from agentmesh.errors import AgentmeshError

_FACT = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|[^ "]\S*)')
_LINE = re.compile(rf"(?P<time>\S+Z) (?P<level>[A-Z]+) (?P<event>.*?)(?P<facts>(?:{_FACT.pattern})*)")
LOOK_SECONDS = 0.2
"""How often it is looked whether the log has grown."""


def log(
    words: str = typer.Argument("", help="Only lines with this in them: a message's id, an address, a host."),
    lines: int = typer.Option(40, "-n", "--lines", min=0, help="How many lines, the newest."),
    follow: bool = typer.Option(False, "-f", "--follow", help="Go on with what is logged from now on, until Ctrl-C."),
    json: bool = typer.Option(False, "--json", help="Print each line as JSON."),
) -> None:
    """Show what the agent has logged.

    Which message ended how, which link came and went; never a message's text.
    """
    path = Paths.from_environment().log
    with suppress(KeyboardInterrupt), _opened(path) as file:
        older = path.with_name(f"{path.name}.1")  # as the agent rotates it
        before = older.read_text(errors="replace").splitlines(keepends=True) if older.exists() else []
        newest = deque((line for line in chain(before, file) if words in line), maxlen=lines)
        for line in chain(newest, _following(path, file) if follow else ()):
            if words in line:
                typer.echo(msgspec.json.encode(read_line(line)) if json else without_controls(line).rstrip("\n"))


class Line(msgspec.Struct, frozen=True):
    """One line of the log; of a traceback's lines only the event is there."""

    time: str
    level: str
    event: str
    facts: dict[str, str]


def read_line(line: str) -> Line:
    """Read a line as the agent writes it.

    >>> read_line('2026-01-02T03:04:05Z INFO link is up peer=worker-1 reason="it called"').facts
    {'peer': 'worker-1', 'reason': 'it called'}
    """
    line = line.rstrip("\n")
    found = _LINE.fullmatch(line)
    if not found:
        return Line("", "", line, {})
    facts = {
        name: msgspec.json.decode(fact, type=str) if fact[0] == '"' else fact
        for name, fact in _FACT.findall(found["facts"])
    }
    return Line(found["time"], found["level"], found["event"], facts)


def _following(path: Path, file: TextIO) -> Iterator[str]:
    """Yield the lines that are written from now on, whole, for ever; of the new file when the log has been rotated."""
    begun = ""
    while True:
        while line := file.readline():
            begun += line
            if begun.endswith("\n"):
                yield begun
                begun = ""
        if _is_at(path, file):
            time.sleep(LOOK_SECONDS)
            continue
        yield from file  # what was written just before it was rotated
        with _opened(path) as rotated:
            yield from _following(path, rotated)


def _is_at(path: Path, file: TextIO) -> bool:
    """Tell whether a path still means this file; while none is there, a new one is only being made."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return True


def _opened(path: Path) -> TextIO:
    try:
        return path.open(errors="replace")
    except FileNotFoundError:
        raise AgentmeshError(
            reason=f"there is no log in {path.parent} yet; start the agent with `agentmesh run`"
        ) from None


def add_to(commands: typer.Typer) -> None:
    """Add this command to the program."""
    commands.command()(log)
