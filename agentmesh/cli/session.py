"""agentmesh session: start an agent program in a pane, know how it is, stop it, and bring it back."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import typer
from typer.core import TyperCommand

from agentmesh.adapters.ipc import SHARED_ENVIRONMENT
from agentmesh.cli.ask import ask_for, do
from agentmesh.cli.far import HERE, HOST_HELP, HostedCommands, ask_there, attach_there, is_elsewhere
from agentmesh.cli.help import examples
from agentmesh.cli.job import text_of
from agentmesh.cli.purge import check_can_ask, purge_conversation
from agentmesh.cli.table import console, escape, table
from agentmesh.config import Paths, load_alias, load_peers
from agentmesh.core.agent_session import AgentSession, Status, is_session_name
from agentmesh.core.drift import Drift
from agentmesh.core.session_request import (
    Creation,
    Ending,
    HostSessions,
    Layout,
    Overview,
    Place,
    Return,
    SessionSight,
)
from agentmesh.core.text import without_controls
from agentmesh.core.workspace import VARIABLE
from agentmesh.errors import AgentmeshError, SessionState, TmuxFailed, UnknownSession, UsageError

_PROGRAM = "agentmesh session"
_HOLDER = "_agentmesh-start"
"""A tmux session, left out of the registry, that keeps a server until it has another."""
_NAME = typer.Argument(metavar="NAME", help="The session's name.")
_JSON = typer.Option(False, "--json", help="Print it as JSON.")
_HOST = typer.Option("", "--host", metavar="ALIAS", help=HOST_HELP)
_AT_ONCE = 32
"""Hosts that are asked at the same time."""

session = HostedCommands(
    help="Start agent programs in panes of their own, know how they are, stop them, and bring them back.\n\n"
    "NAME is a session of this host, or of --host; that is reached by your own `ssh`.",
    epilog=examples(
        "agentmesh session create reviewer --program claude --cwd ~/api --role reviewer",
        "agentmesh session create tests --program codex --prompt 'run the tests' -- --model gpt-5",
        "agentmesh session create builder --host worker-1 --program claude --cwd api --prompt plan.md",
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
    cwd: Path = typer.Option(
        Path(), "--cwd", metavar="DIR", help="The folder that it runs in; with --host from the home there."
    ),
    role: str = typer.Option("", "--role", metavar="TEXT", help="What it is for; others find it by this."),
    scope: str = typer.Option("", "--scope", metavar="TEXT", help="What it works on."),
    prompt: str = typer.Option("", "--prompt", metavar="TEXT|FILE", help="Its first message."),
    window: str = typer.Option("", "--window", metavar="SESSION", help="Open a window of this tmux session instead."),
    split: str = typer.Option("", "--split", metavar="ADDRESS", help="Open a pane beside this one instead."),
    layout: Layout | None = typer.Option(None, "--layout", help="How the window that is split is laid out."),
    workspace: str = typer.Option(
        "", "--workspace", metavar="W", envvar=VARIABLE, help="Keep it in a tmux server of its own; default: don't."
    ),
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
        "layout": layout,
        "workspace": workspace,
        "arguments": arguments or [],
    }
    try:
        creation = msgspec.convert(wanted, Creation)
    except msgspec.ValidationError as error:
        reason = (
            "Names of sessions and workspaces have letters, digits, - and _, 40 at most; a session has a --window or a "
            "--split, not both, and --layout goes with --split."
        )
        raise UsageError(reason=reason, program=f"{_PROGRAM} create") from error
    with _server(name, workspace):
        raise typer.Exit(do("session", "create", _text(creation), json=False))


@session.command(cls=TyperCommand)
def status(
    name: str = typer.Argument("", metavar="NAME", help="One session; without it all that aren't archived."),
    host: str = typer.Option("", "--host", metavar="ALIAS", help="Ask this host alone; without it all are asked."),
    json: bool = _JSON,
) -> None:
    """Show how the sessions of this host and of its peers are: what is recorded, and what is seen just now.

    The peers are asked at the same time, over ssh; one that can't be asked is named with the reason, and in JSON has a
    `reason` in `hosts`. With NAME it is a session of this host, or of --host, and JSON is a list of it alone.
    """
    if name:
        seen = _named(host, name)
        if json:
            typer.echo(msgspec.json.encode(seen))
        else:
            _draw([HostSessions(host=seen[0].session.host, sessions=tuple(seen))])
        return
    paths = Paths.from_environment()
    own = load_alias(paths)
    if host:
        asked, code = [HostSessions(host=host if is_elsewhere(host) else own, sessions=sessions_of(host))], 0
    else:
        told = look_at([own, *(peer for peer in load_peers(paths) if peer != own)])
        asked, code = [each for each, _ in told], told[0][1]
    if json:
        typer.echo(msgspec.json.encode(Overview(tuple(asked))))
    else:
        _draw(asked)
    raise typer.Exit(code)


@session.command()
def stop(
    name: str = _NAME,
    force: bool = typer.Option(False, "--force", help="Although a draft, or work that goes on, is lost."),
    purge: bool = typer.Option(False, "--purge", help="Then show the files of its conversation, and remove them."),
    yes: bool = typer.Option(False, "--yes", help="Remove them without being asked."),
) -> None:
    """Leave a program by its own command; then end what is left of it, and its pane. Its conversation is kept."""
    if yes and not purge:
        raise UsageError(reason="--yes goes with --purge, and removes nothing by itself.", program=f"{_PROGRAM} stop")
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


@session.command(cls=TyperCommand)
def attach(name: str = _NAME, host: str = _HOST) -> None:
    """Look at a session in this terminal."""
    if is_elsewhere(host):
        if not is_session_name(name):
            raise UnknownSession(name=name)
        raise typer.Exit(attach_there(host, name))
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


def sessions_of(host: str) -> tuple[SessionSight, ...]:
    """Return the sessions of a host that aren't archived. Raises AgentmeshError where it can't be asked."""
    if not is_elsewhere(host):
        every = ask_for(list[SessionSight], "session", "status")
        return tuple(one for one in every if one.session.status is not Status.ARCHIVED)
    return ask_there(Overview, host, "session", "status", f"--host={HERE}", "--json").hosts[0].sessions


def look_at(hosts: Sequence[str]) -> list[tuple[HostSessions, int]]:
    """Return the sessions of hosts, all asked at the same time, each with the exit code of what keeps it from it."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(_look, hosts))


def _look(host: str) -> tuple[HostSessions, int]:
    """Return the sessions of a host, or why it can't be asked, with the exit code of that."""
    try:
        return HostSessions(host=host, sessions=sessions_of(host)), 0
    except AgentmeshError as error:
        return HostSessions(host=host, reason=str(error)), error.exit_code


def _named(host: str, name: str) -> list[SessionSight]:
    """Return a host's session of this name. Raises UnknownSession, or what is said there."""
    if is_elsewhere(host):
        return ask_there(list[SessionSight], host, "session", "status", f"--host={HERE}", "--json", "--", name)
    seen = [one for one in ask_for(list[SessionSight], "session", "status") if one.session.name == name]
    if not seen:
        raise UnknownSession(name=name)
    return seen


def _draw(asked: list[HostSessions]) -> None:
    """Show sessions as a table, and below it the hosts that can't be asked."""
    rows = table("host", "name", "program", "lifecycle", "seen", "address", "pid", "conversation", "note")
    for host, one in ((each.host, one) for each in asked for one in each.sessions):
        found = one.session
        pid = str(found.pid) if one.alive else ""
        note = found.last_visible_note if one.is_same_command else "another program runs in its place"
        names = (host, found.name, found.program, one.lifecycle)
        columns = (*names, one.readiness, one.address, pid, found.conversation, note)
        rows.add_row(*(escape(without_controls(column)) for column in columns))
    screen = console()
    screen.print(rows)
    for each in asked:
        if each.reason:
            screen.print(f"[red]{escape(each.host)}: {escape(without_controls(each.reason))}[/red]")


@contextmanager
def _server(name: str, workspace: str = "") -> Iterator[None]:
    """See that a tmux server runs, as a program of the person's own: what the agent starts ends with the agent."""
    place = ask_for(Place, "session", "place", name, *([workspace] if workspace else []))
    if place.runs:
        yield
        return
    tmux = ["tmux", "-u", "-S", place.socket]
    ours = {VARIABLE, *SHARED_ENVIRONMENT}  # they tell of who gives this command
    environment = {variable: value for variable, value in os.environ.items() if variable not in ours}
    try:
        done = subprocess.run(
            [*tmux, "new-session", "-d", "-s", _HOLDER, "env", "cat"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
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
