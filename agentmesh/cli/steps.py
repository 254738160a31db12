"""Steps that a person could type: each is printed, then run."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import typer

from agentmesh.errors import SetupFailed

THERE = "~/.agents/bin/agentmesh"
"""The program at the same path on every host."""
_PROGRAMS = {"agentmesh": "agentmesh", "agentmesh.notify": "notify-pane"}
"""By module: how a person calls it."""


def agentmesh(*words: str) -> list[str]:
    """Return a command of ours, by this very installation, and by nothing that the working folder may hold."""
    return [sys.executable, "-P", "-m", "agentmesh", *words]


def over_ssh(peer: str, script: str, *options: str) -> list[str]:
    """Return the command that runs a script on another machine, with the user's own login, asking nothing."""
    return ["ssh", "-o", "BatchMode=yes", *options, peer, f"sh -c {shlex.quote(script)}"]


def run(
    command: list[str],
    peer: str = "this host",
    *,
    stdin: Path | None = None,
    stdout: TextIO = sys.stdout,
    check: bool = True,
    remedy: str = "",
) -> int:
    """Print a command, as it is typed by hand, and run it, both to ``stdout``; returns its exit code.

    Raises SetupFailed.
    """
    typer.echo(f"$ {typed(command)}{f' <{stdin}' if stdin else ''}", file=stdout)
    stdout.flush()
    with (stdin or Path("/dev/null")).open("rb") as given:
        code = subprocess.run(command, stdin=given, stdout=stdout, check=False).returncode
    if code and check:
        reason = f"`{shlex.join(_typed(command)[:2])} …` ended with {code}"
        raise SetupFailed(peer=peer, reason=f"{reason}; {remedy}" if remedy else reason)
    return code


def typed(command: list[str]) -> str:
    """Return a command as a person types it."""
    return shlex.join(_typed(command))


def _typed(command: list[str]) -> list[str]:
    match command:
        case [sys.executable, "-P", "-m", module, *words]:
            return [_PROGRAMS[module], *words]
        case ["ssh", *_, peer, script] if script.startswith("sh -c "):
            return ["ssh", peer, *shlex.split(script)[2:]]
        case _:
            return command
