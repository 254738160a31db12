"""Remove the files of a session's conversation: shown first, and asked at a terminal."""

import sys

import msgspec
import typer

from agentmesh.cli.ask import ask_for, do
from agentmesh.core.session_request import Purge
from agentmesh.core.text import without_controls
from agentmesh.errors import UsageError


def check_can_ask(*, yes: bool) -> None:
    """Raise UsageError where nobody can be asked, and it wasn't said before."""
    if not (yes or (sys.stdin.isatty() and sys.stderr.isatty())):
        reason = "Nothing is stopped or removed: nobody can be asked here. Say --yes."
        raise UsageError(reason=reason, program="agentmesh session stop")


def purge_conversation(name: str, *, yes: bool) -> int:
    """Show the files that hold an ended session's conversation, and remove those; return the exit code."""
    found = ask_for(Purge, "session", "conversation-files", name)
    for path in found.paths:
        typer.echo(without_controls(path))
    if found.paths and not yes and not typer.confirm(f"Remove the conversation of {name} for good?", err=True):
        typer.echo("Nothing is removed.", err=True)
        return 0
    return do("session", "purge", msgspec.json.encode(found).decode(), json=False)
