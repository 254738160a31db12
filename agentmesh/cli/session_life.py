"""agentmesh session: speak to a session, capture it, watch all of them, and close a worker that is done."""

import os
import sys
from datetime import UTC, datetime

import msgspec
import typer

from agentmesh.cli.ask import ask_for, do
from agentmesh.cli.monitor import Monitor
from agentmesh.config import Paths
from agentmesh.core.duration import parse_duration
from agentmesh.core.session_request import Ending, SessionSight, Snapshot
from agentmesh.core.text import without_controls
from agentmesh.errors import SessionState, UnknownSession, UsageError

_PROGRAM = "agentmesh session"
_DEFAULT_LINES = 2000
_NAME = typer.Argument(metavar="NAME", help="The session's name.")


def send(
    name: str = _NAME,
    words: list[str] = typer.Argument(metavar="TEXT", help="What to say; - reads it from standard input."),
    wait: str = typer.Option("", "--wait", metavar="TIME", help="Wait so long until it takes input (30s, 5m, 2h)."),
    queue: bool = typer.Option(False, "--queue", help="Return at once; it is told when it takes input."),
) -> None:
    """Send a message to a session, as notify-pane does."""
    seen = {one.session.name: one for one in ask_for(list[SessionSight], "session", "status")}
    if name not in seen:
        raise UnknownSession(name=name)
    if not seen[name].address:
        remedy = f"Bring it back with `agentmesh session resume {name}`"
        raise SessionState(name=name, status=seen[name].session.status, remedy=remedy)
    options = [f"--wait={wait}"] * bool(wait) + ["--queue"] * queue
    program = Paths.from_environment().bin / "notify-pane"
    sys.stdout.flush()
    os.execv(program, [str(program), *options, "--", seen[name].address, " ".join(words)])  # noqa: S606 (no shell)


def capture(
    name: str = _NAME,
    lines: int = typer.Option(0, "--lines", metavar="N", min=0, help="Print the last N lines instead."),
    full: bool = typer.Option(False, "--full", help="All that tmux has kept, not only the last 2,000 lines."),
) -> None:
    """Write what a session has shown to a private file, and print its path. What tmux has dropped is said."""
    if lines and full:
        raise UsageError(reason="Say --lines or --full, not both.", program=f"{_PROGRAM} capture")
    count = 0 if full else lines or _DEFAULT_LINES
    found = ask_for(Snapshot, "session", "capture", name, str(count))
    text = "".join(f"{without_controls(line)}\n" for line in found.lines)
    if lines:
        typer.echo(text, nl=False)
    else:
        folder = Paths.from_environment().captures
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.txt"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 (private from the start)
            file.write(text)
        typer.echo(path)
    if len(found.lines) < found.kept and not lines:
        typer.echo(f"the last {len(found.lines)} of {found.kept} lines; --full takes all", err=True)
    if found.may_lack and (full or len(found.lines) == found.kept):
        lost = f"older lines may be lost: tmux keeps {found.limit} of this pane (its option history-limit)"
        typer.echo(lost, err=True)
    if found.is_full_screen:
        typer.echo("it draws on a screen of its own, of which tmux keeps no history", err=True)


def ready_to_close() -> None:
    """Say, as a session's worker, in its pane: my work is done, I may be closed."""
    raise typer.Exit(do("session", "ready-to-close", json=False))


def close(
    name: str = _NAME,
    force: bool = typer.Option(False, "--force", help="Although something is missing, or a draft or work is lost."),
) -> None:
    """Stop a worker that is done: it has said so, or completed its job; its jobs have ended; its conversation is saved.

    Otherwise it says what is missing, and exits with 3.
    """
    text = msgspec.json.encode(Ending(name=name, force=force)).decode()
    raise typer.Exit(do("session", "close", text, json=False))


def monitor(
    timeout: str = typer.Option("", "--timeout", metavar="TIME", help="End after so long, with 0 (30s, 5m, 2h)."),
    idle_timeout: str = typer.Option(
        "1h", "--idle-timeout", metavar="TIME", help="End when nothing has happened for so long, with 5; 0: never."
    ),
    subscribe: list[str] = typer.Option([], "--subscribe", metavar="JOB", help="Tell this job's events, too."),
    every: bool = typer.Option(False, "--jobs", help="The same of every job that is submitted on this host."),
    closes: bool = typer.Option(
        False, "--close", help="Close the worker's session when such a job, whose events are signed, has ended."
    ),
) -> None:
    """Compare records, tmux and disk all the time, put the records right, and print a line of JSON for each drift.

    It is compared every 30 s, and at once when tmux changes. A drift is told once; a heartbeat tells that nothing is
    new. While the agent is away, it says so, and goes on when there is one. A job is followed over the mesh; while its
    home can't be reached, over the MQTT broker of this host, if it has one; else its home is asked again every 15 s
    (RECONCILE_POLL_INTERVAL). Each change of that is told.
    """
    if closes and not (subscribe or every):
        raise UsageError(reason="Say --subscribe JOB or --jobs, too.", program=f"{_PROGRAM} monitor")
    program = f"{_PROGRAM} monitor"
    idle = 0 if idle_timeout == "0" else parse_duration(idle_timeout, program)
    watching = Monitor(subscribe, every=every, closes=closes)
    raise typer.Exit(watching.run(parse_duration(timeout, program) if timeout else 0, idle))


def add_to(session: typer.Typer) -> None:
    """Add these commands to those of sessions."""
    for command in (send, capture, close, monitor):
        session.command()(command)
    session.command("ready-to-close")(ready_to_close)
