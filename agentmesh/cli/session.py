"""agentmesh session: start an agent program in a pane, know how it is, stop it, and bring it back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import typer

from agentmesh.cli.ask import ask_for, do
from agentmesh.cli.help import examples
from agentmesh.cli.job import text_of
from agentmesh.cli.purge import check_can_ask, purge_conversation
from agentmesh.cli.table import console, escape, table
from agentmesh.core.agent_session import AgentSession, Status
from agentmesh.core.drift import Drift
from agentmesh.core.session_request import Creation, Ending, Place, Return, SessionSight
from agentmesh.core.text import without_controls
from agentmesh.errors import SessionState, TmuxFailed, UnknownSession, UsageError

_PROGRAM = "agentmesh session"
_HOLDER = "_agentmesh-start"
"""A tmux session, left out of the registry, that keeps a server until it has another."""
_NAME = typer.Argument(metavar="NAME", help="The session's name.")
_JSON = typer.Option(False, "--json", help="Print it as JSON.")

session = typer.Typer(
    help="Start agent programs in panes of their own, know how they are, stop them, and bring them back.",
    epilog=examples(
        "agentmesh session create reviewer --program claude --cwd ~/api --role reviewer",
        "agentmesh session create tests --program codex --prompt 'run the tests' -- --model gpt-5",
        "agentmesh session status",
        "agentmesh session stop reviewer",
        "agentmesh session resume --all",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@session.command()
def create(
    name: str = typer.Argument(metavar="NAME", help="Letters, digits, - and _; also the name of its tmux session."),
    program: str = typer.Option(..., "--program", metavar="P", help="claude, codex, shell, or another with a profile."),
    cwd: Path = typer.Option(Path(), "--cwd", metavar="DIR", help="The folder that it runs in."),
    role: str = typer.Option("", "--role", metavar="TEXT", help="What it is for; others find it by this."),
    scope: str = typer.Option("", "--scope", metavar="TEXT", help="What it works on."),
    prompt: str = typer.Option("", "--prompt", metavar="TEXT|FILE", help="Its first message."),
    window: str = typer.Option("", "--window", metavar="SESSION", help="Open a window of this tmux session instead."),
    split: str = typer.Option("", "--split", metavar="ADDRESS", help="Open a pane beside this one instead."),
    arguments: list[str] = typer.Argument(None, metavar="ARGS", help="For the program, after --."),
) -> None:
    """Start a program, and wait until it takes input. What keeps it from that is shown, and never answered."""
    wanted = {
        "name": name,
        "program": program,
        "cwd": str(cwd.expanduser().resolve()),
        "path": os.environ.get("PATH", os.defpath),
        "shell": os.environ.get("SHELL", ""),
        "role": role,
        "scope": scope,
        "prompt": text_of(prompt),
        "window": window,
        "split": split,
        "arguments": arguments or [],
    }
    try:
        creation = msgspec.convert(wanted, Creation)
    except msgspec.ValidationError as error:
        reason = "A name has letters, digits, - and _, 40 at most; and a session has a --window or a --split, not both."
        raise UsageError(reason=reason, program=f"{_PROGRAM} create") from error
    with _server(name):
        raise typer.Exit(do("session", "create", _text(creation), json=False))


@session.command()
def status(
    name: str = typer.Argument("", metavar="NAME", help="One session; without it all that aren't archived."),
    json: bool = _JSON,
) -> None:
    """Show how the sessions of this host are: what is recorded, and what is seen just now."""
    every = ask_for(list[SessionSight], "session", "status")
    seen = [one for one in every if (one.session.name == name if name else one.session.status is not Status.ARCHIVED)]
    if name and not seen:
        raise UnknownSession(name=name)
    if json:
        typer.echo(msgspec.json.encode(seen))
        return
    rows = table("name", "program", "lifecycle", "seen", "address", "pid", "conversation", "note")
    for one in seen:
        found = one.session
        pid = str(found.pid) if one.alive else ""
        note = found.last_visible_note if one.is_same_command else "another program runs in its place"
        columns = (found.name, found.program, one.lifecycle, one.readiness, one.address, pid, found.conversation, note)
        rows.add_row(*(escape(without_controls(column)) for column in columns))
    console().print(rows)


@session.command()
def stop(
    name: str = _NAME,
    force: bool = typer.Option(False, "--force", help="Although a draft, or work that goes on, is lost."),
    purge: bool = typer.Option(False, "--purge", help="Then show the files of its conversation, and remove them."),
    yes: bool = typer.Option(False, "--yes", help="Remove them without being asked."),
) -> None:
    """Leave a program by its own command; then end what is left of it, and its pane. Its conversation is kept."""
    if purge:
        check_can_ask(yes=yes)
    ended = purge and ask_for(AgentSession, "session", "record", name).status in {Status.STOPPED, Status.TERMINATED}
    code = 0 if ended else do("session", "stop", _text(Ending(name=name, force=force)), json=False)
    if purge and not code:
        code = purge_conversation(name, yes=yes)
    raise typer.Exit(code)


@session.command()
def resume(
    name: str = typer.Argument("", metavar="NAME", help="The session's name."),
    every: bool = typer.Option(False, "--all", help="Every one that is stopped or terminated."),
) -> None:
    """Bring a program back, in its folder, under its address, with its conversation."""
    if bool(name) == every:
        raise UsageError(reason="Name a session, or say --all.", program=f"{_PROGRAM} resume")
    names = [name]
    if every:
        names = [one.session.name for one in ask_for(list[SessionSight], "session", "status") if one.is_resumable]
    path = os.environ.get("PATH", os.defpath)
    code = 0
    for each in names:
        with _server(each):
            code = max(code, do("session", "resume", _text(Return(name=each, path=path)), json=False))
    raise typer.Exit(code)


@session.command()
def archive(name: str = _NAME) -> None:
    """Put away the record of a session that has ended; its name is free then. Its conversation stays on disk."""
    raise typer.Exit(do("session", "archive", name, json=False))


@session.command()
def attach(name: str = _NAME) -> None:
    """Look at a session in this terminal."""
    seen = {one.session.name: one for one in ask_for(list[SessionSight], "session", "status")}
    if name not in seen:
        raise UnknownSession(name=name)
    found = seen[name].session
    if found.status is not Status.RUNNING:
        remedy = f"Bring it back with `agentmesh session resume {name}`"
        raise SessionState(name=name, status=found.status, remedy=remedy)
    socket = ask_for(Place, "session", "place", name).socket
    inside = os.environ.get("TMUX", "").partition(",")[0] == socket
    select = ["select-window", "-t", found.pane, ";", "select-pane", "-t", found.pane, ";"]
    show = ["switch-client", "-t", found.pane] if inside else ["attach-session", "-t", f"={found.tmux_session}"]
    sys.stdout.flush()
    os.execvp("tmux", ["tmux", "-S", socket, *select, *show])  # noqa: S606, S607 (no shell; tmux lies where PATH says)


@session.command()
def reconcile(
    once: bool = typer.Option(False, "--once", help="Compare once; by itself the agent watches what runs."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Change nothing."),
    emit_diff: bool = typer.Option(False, "--emit-diff", help="Show each field that changes, old and new."),
) -> None:
    """Compare records, tmux and conversations on disk, and put the records right. Prints JSON.

    A: a program is gone. B: a known program has no record. C: a conversation has appeared. D: a conversation is gone
    from disk; that is said once, and nothing is removed.
    """
    if not once:
        raise UsageError(reason="Say --once.", program=f"{_PROGRAM} reconcile")
    told = ask_for(list[Drift], "session", "reconcile", "dry-run" if dry_run else "apply")
    shown = []
    for drift in told:
        facts: dict[str, object] = {"class": drift.drift_class, "session": drift.session}
        facts |= {"what": drift.what, "action": "none (dry run)" if dry_run else drift.action}
        shown.append(facts | ({"diff": drift.difference} if emit_diff else {}))
    typer.echo(msgspec.json.encode({"drifts": shown}))


@contextmanager
def _server(name: str) -> Iterator[None]:
    """See that a tmux server runs, as a program of the person's own: what the agent starts ends with the agent."""
    place = ask_for(Place, "session", "place", name)
    if place.runs:
        yield
        return
    tmux = ["tmux", "-u", "-S", place.socket]
    try:
        done = subprocess.run(
            [*tmux, "new-session", "-d", "-s", _HOLDER, "env", "cat"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise TmuxFailed(reason="there is no program called tmux on PATH; install it") from error
    if done.returncode:
        raise TmuxFailed(reason=done.stderr.strip())
    try:
        yield
    finally:
        subprocess.run([*tmux, "kill-session", "-t", f"={_HOLDER}"], capture_output=True, check=False)


def _text(wanted: object) -> str:
    return msgspec.json.encode(wanted).decode()


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the program."""
    commands.add_typer(session, name="session")
