"""agentmesh job: hand a task to somebody in the mesh, follow it, report on it."""

import asyncio
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec
import typer

from agentmesh.adapters import ipc
from agentmesh.cli.ask import ask, ask_for, do
from agentmesh.cli.following import follow, look, state_text, told, wait_for_end
from agentmesh.cli.help import examples
from agentmesh.cli.table import console, escape, table
from agentmesh.config import Paths, read_broker
from agentmesh.core.broker import Settings, warnings
from agentmesh.core.duration import parse_duration
from agentmesh.core.errand import Step, Submission
from agentmesh.core.event import EventType
from agentmesh.core.job import LONGEST_TITLE, Job, is_end
from agentmesh.core.text import without_controls
from agentmesh.errors import UsageError

_LONGEST_PATH = 1000
"""Characters."""
_PROGRAM = "agentmesh job"
_JSON = typer.Option(False, "--json", help="Print it as JSON.")
_ID = typer.Argument(metavar="JOB", help="The job's id; of a job of this host its end will do.")

job = typer.Typer(
    help="Hand a task to a program or person in a pane, anywhere in the mesh, and follow it.",
    epilog=examples(
        "agentmesh job submit worker-1-api-review --brief 'review the migration' --wait",
        "agentmesh job claim hub-3f9a1c2b7d4e5f60",
        "agentmesh job event hub-3f9a1c2b7d4e5f60 progress --percent 40",
        "agentmesh job log -f 5f60",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@job.command()
def submit(
    address: str = typer.Argument(metavar="ADDRESS", help="Who is to do it; of several the first to claim it does."),
    brief: str = typer.Option(
        ..., "--brief", metavar="TEXT|FILE", help="What is to be done: a text, a file that exists, or - for the input."
    ),
    title: str = typer.Option("", "--title", metavar="TEXT", help="A few words for tables; 200 characters at most."),
    attach: list[str] = typer.Option([], "--attach", metavar="PATH", help="A file or folder to send along."),
    timeout: str = typer.Option("", "--timeout", metavar="TIME", help="After which the job expires (30s, 5m, 2h)."),
    no_auth: bool = typer.Option(False, "--no-auth", help="Accept events that nobody has signed."),
    broker: Path | None = typer.Option(
        None,
        "--broker",
        metavar="FILE",
        help="Mirror its events to the MQTT broker that this file names, as [mqtt] would.",
    ),
    wait_for_it: bool = typer.Option(False, "--wait", help="Wait for its end, as `job wait` does."),
) -> None:
    """Submit a job: it is stored here, then its brief is sent to the pane. Prints the job's id."""
    if len(title) > LONGEST_TITLE:
        raise UsageError(reason=f"A title has at most {LONGEST_TITLE} characters.", program=_PROGRAM)
    wanted = Submission(
        to=address,
        brief=text_of(brief),
        title=title,
        files=tuple(attach),
        seconds=parse_duration(timeout, _PROGRAM) if timeout else 0,
        is_signed=not no_auth,
        broker=_own_broker(broker) if broker else None,
    )
    raise typer.Exit(_submit(wanted, waits=wait_for_it))


@job.command()
def claim(identifier: str = _ID) -> None:
    """Claim a job: of several who try, one does."""
    _report(identifier, EventType.CLAIMED, {})


@job.command()
def event(
    identifier: str = _ID,
    what: str = typer.Argument(metavar="started|progress|completed|error"),
    message: str = typer.Option("", "--message", "-m", metavar="TEXT", help="For who follows the job."),
    data: str = typer.Option("", "--data", metavar="JSON", help="For programs: any JSON."),
    percent: int | None = typer.Option(None, "--percent", min=0, max=100, help="How much is done."),
) -> None:
    """Report on a job. It is stored, signed, and told to the job's home as soon as that can be reached."""
    _report(identifier, kind_of(what, _REPORTS), body_of(message, data, percent))


@job.command()
def wait(
    identifier: str = _ID,
    timeout: str = typer.Option("", "--timeout", metavar="TIME", help="How long at most (30s, 5m, 2h)."),
) -> None:
    """Wait for a job's end, and show its progress.

    Exits with 0 when it is completed, 8 on an error, 9 when it is cancelled, 10 when it expired, 5 when time is over.
    """
    raise typer.Exit(wait_for_end(identifier, parse_duration(timeout, _PROGRAM) if timeout else None))


@job.command("list")
def list_jobs(
    ended: bool = typer.Option(False, "--all", help="Also those that have ended."),
    json: bool = _JSON,
) -> None:
    """Show the jobs that were submitted on this host and have not ended."""
    which = "all" if ended else "open"
    if json:
        typer.echo(ask("job", "list", which), nl=False)
        return
    rows = table("id", "submitted", "for", "state", "worker", "title")
    for each in ask_for(list[Job], "job", "list", which):
        columns = (
            each.id,
            _when(each.created),
            each.to,
            state_text(each),
            each.worker,
            each.title or _line(each.brief),
        )
        rows.add_row(*map(escape, columns))
    console().print(rows)


@job.command()
def show(identifier: str = _ID, json: bool = _JSON) -> None:
    """Show a job, and why events of it were dropped, if any were."""
    seen = look(identifier, 0, 0)
    if json:
        typer.echo(msgspec.json.encode(seen))
        return
    found = seen.job
    typer.echo(f"{found.id}  {state_text(found)}")
    for name, value in (("title", found.title), ("for", found.to), ("from", found.submitter), ("worker", found.worker)):
        if value:
            typer.echo(f"  {name}: {without_controls(value)}")
    typer.echo(f"  submitted: {_when(found.created)}")
    if found.lost:
        typer.echo(f"  nobody works on it: {without_controls(found.lost)}")
    typer.echo(f"  brief: {without_controls(found.brief)}")
    for receipt in seen.briefs:
        typer.echo(without_controls(f"  sent to {receipt.to}: {receipt.state}. {receipt.detail}".rstrip()))
    for reason in seen.dropped:
        typer.echo(f"  dropped: {without_controls(reason)}")


@job.command("log")
def show_log(
    identifier: str = _ID,
    goes_on: bool = typer.Option(False, "-f", "--follow", help="Go on until the job ends."),
    json: bool = typer.Option(False, "--json", help="Print each event as a line of JSON."),
) -> None:
    """Show what has happened to a job."""
    for seen in follow(identifier, None if goes_on else 0):
        for entry in seen.entries:
            typer.echo(msgspec.json.encode(entry) if json else told(entry.event, entry.received))


@job.command()
def cancel(
    identifier: str = _ID,
    reason: str = typer.Option("it was cancelled", "--message", "-m", metavar="TEXT", help="Why."),
) -> None:
    """End a job of this host that has not ended."""
    typer.echo(state_text(ask_for(Job, "job", "cancel", identifier, reason)))


@job.command()
def retry(
    identifier: str = _ID,
    wait_for_it: bool = typer.Option(False, "--wait", help="Wait for its end, as `job wait` does."),
) -> None:
    """Submit a job of this host again, as a new one, once it has ended. Prints the new job's id."""
    old = look(identifier, 0, 0).job
    if not is_end(old.state):
        raise UsageError(reason=f"The job is {old.state}; cancel it first.", program=_PROGRAM)
    seconds = old.expires - old.created if old.expires else 0
    wanted = Submission(
        to=old.to,
        brief=old.brief,
        title=old.title,
        files=old.files,
        seconds=seconds,
        is_signed=old.is_signed,
        retry_of=old.id,
    )
    raise typer.Exit(_submit(wanted, waits=wait_for_it))


@job.command()
def verify(identifier: str = _ID) -> None:
    """See that nobody has changed the record of a job of this host: its chain, its signatures, its order."""
    typer.echo(ask("job", "verify", identifier), nl=False)


_REPORTS = (EventType.STARTED, EventType.PROGRESS, EventType.COMPLETED, EventType.ERROR)


def kind_of(what: str, allowed: Iterable[EventType]) -> EventType:
    """Return the type of an event that a person has named. Raises UsageError."""
    kinds = {kind.value: kind for kind in allowed}
    if what not in kinds:
        raise UsageError(reason=f"An event is one of {', '.join(kinds)}.", program=_PROGRAM)
    return kinds[what]


def body_of(message: str, data: str, percent: int | None) -> dict[str, object]:
    """Return what an event's body says. Raises UsageError."""
    body: dict[str, object] = {}
    if message:
        body["message"] = message.encode(errors="replace").decode()
    if percent is not None:
        body["percent"] = percent
    if data:
        try:
            body["data"] = msgspec.json.decode(data)
        except msgspec.DecodeError as error:
            raise UsageError(reason=f"--data is no JSON: {error}.", program=_PROGRAM) from error
    return body


def _submit(wanted: Submission, *, waits: bool) -> int:
    socket = Paths.from_environment().socket
    code, output, error = asyncio.run(ipc.perform(socket, "job", "submit", msgspec.json.encode(wanted).decode()))
    sys.stdout.write(output.decode())
    sys.stdout.flush()
    sys.stderr.write(error.decode())
    return wait_for_end(output.decode().split()[0], None) if waits and not code else code


def _report(identifier: str, kind: EventType, body: dict[str, object]) -> None:
    step = Step(job=identifier, type=kind, content=body)
    raise typer.Exit(do("job", "report", msgspec.json.encode(step).decode(), json=False))


def _own_broker(path: Path) -> Settings:
    found = read_broker(path)
    for warning in warnings(found):
        sys.stderr.write(f"job: careful: {without_controls(warning)}\n")
    return found.settings


def text_of(brief: str) -> str:
    """Return a text that is given as such, as a file that exists, or as ``-`` on standard input. Raises UsageError."""
    if brief == "-":
        return sys.stdin.read()
    path = Path(brief.removeprefix("@"))
    if not brief.startswith("@") and ("\n" in brief or len(brief) > _LONGEST_PATH or not path.is_file()):
        return brief
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(reason=f"The text can't be read: {error}.", program=_PROGRAM) from error


def _line(text: str) -> str:
    return without_controls(text.strip().splitlines()[0][:60]) if text.strip() else ""


def _when(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment).astimezone():%Y-%m-%d %H:%M}"


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the program."""
    commands.add_typer(job, name="job")
