"""agentmesh review: let others pass a diff before it goes on, in rounds."""

import sys
import tempfile
import time
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

import msgspec
import typer

from agentmesh.adapters.diff import read_diff
from agentmesh.cli.ask import ask_for, do
from agentmesh.cli.help import examples
from agentmesh.cli.table import console, escape, table
from agentmesh.core.duration import parse_duration
from agentmesh.core.review import ENDS, EXIT_CODES, Review, ReviewState, Standing, Verdict, best, standing
from agentmesh.core.review_request import Look, Opinion, Proposal, Update
from agentmesh.core.text import without_controls
from agentmesh.errors import UnknownReview, UsageError

PATIENCE = 30
"""Seconds for which the agent is asked at a time."""
_PROGRAM = "agentmesh review"
_ID = typer.Argument(metavar="REVIEW", help="The review's id; its end will do.")
_JSON = typer.Option(False, "--json", help="Print it as JSON.")

review = typer.Typer(
    help="Have a diff reviewed: each reviewer passes it or not, the worker gets the feedback, until all pass.",
    epilog=examples(
        "agentmesh review start --diff main...HEAD --worker builder --reviewers rev-1,rev-2,@role:reviewer",
        "agentmesh review verdict hub-3f9a1c2b7d4e5f60 not-pass --feedback 'line 12 leaks the file'",
        "agentmesh review update 5f60",
        "agentmesh review gate 5f60 && git push",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@review.command()
def start(
    diff: str = typer.Option(..., "--diff", metavar="FILE|RANGE", help="A file, or commits, as `git diff` takes them."),
    worker: str = typer.Option(..., "--worker", metavar="ADDRESS", help="Who has made it, and is told what to mend."),
    reviewers: str = typer.Option(..., "--reviewers", metavar="A,B,…", help="Who must pass it; groups, too."),
    rounds: int = typer.Option(3, "--rounds", min=1, max=100, metavar="N", help="How many at most."),
    brief: str = typer.Option("", "--brief", metavar="TEXT", help="What to look at."),
) -> None:
    """Start a review: it is stored here, then each reviewer gets the diff and a job of their own. Prints its id."""
    with _Copy(read_diff(diff, Path.cwd())) as copy:
        wanted = Proposal(worker=worker, reviewers=reviewers, diff=diff, content=copy.name, rounds=rounds, brief=brief)
        raise typer.Exit(do("review", "start", msgspec.json.encode(wanted).decode(), json=False))


@review.command()
def verdict(
    identifier: str = typer.Argument(metavar="JOB", help="The review job's id, as its brief names it."),
    said: str = typer.Argument(metavar="pass|not-pass"),
    feedback: str = typer.Option("", "--feedback", metavar="FILE|TEXT|-", help="For the worker; - reads it."),
) -> None:
    """Say what you think of a diff that you were given. It counts from the pane that was asked alone, and once."""
    if said not in {Verdict.PASS, Verdict.NOT_PASS}:
        raise UsageError(reason="A verdict is pass or not-pass.", program=_PROGRAM)
    opinion = Opinion(of=identifier, verdict=Verdict(said), feedback=_text(feedback))
    raise typer.Exit(do("review", "verdict", msgspec.json.encode(opinion).decode(), json=False))


@review.command()
def update(
    identifier: str = _ID,
    diff: str = typer.Option("", "--diff", metavar="FILE|RANGE", help="Another one than before."),
) -> None:
    """Submit the diff again, as it is now: a changed one voids earlier verdicts and begins the next round."""
    found = _look(identifier)
    folder = Path.cwd() if diff else Path(found.folder)
    with _Copy(read_diff(diff or found.diff, folder)) as copy:
        wanted = Update(review=found.id, diff=diff or found.diff, folder=str(folder), content=copy.name)
        changed = ask_for(Review, "review", "update", msgspec.json.encode(wanted).decode())
    typer.echo(_state(changed))


@review.command()
def wait(
    identifier: str = _ID,
    timeout: str = typer.Option("", "--timeout", metavar="TIME", help="How long at most (30s, 5m, 2h)."),
) -> None:
    """Wait until all have passed the diff, or no rounds are left, and show what is said meanwhile.

    Exits with 0 when every reviewer has passed the diff as it is now, 8 when it is not passed, 9 when the review is
    cancelled, 10 when the diff has changed since, 5 when time is over.
    """
    deadline = time.monotonic() + parse_duration(timeout, _PROGRAM) if timeout else None
    found, shown = _look(identifier), set[str]()
    while True:
        told = _history(found)
        sys.stderr.writelines(f"{line}\n" for line in told if line not in shown)
        shown.update(told)
        left = PATIENCE if deadline is None else int(deadline - time.monotonic() + 1)
        if found.state in ENDS or (deadline and time.monotonic() >= deadline):
            break
        found = _look(found.id, found.revision, max(0, min(PATIENCE, left)))
    digest = _digest(found) if found.state is ReviewState.PASSED else found.present.sha256
    reached = standing(found, digest) if found.state in ENDS else Standing.AWAITED
    typer.echo(_state(found) if reached is not Standing.CHANGED else f"{reached}: the verdicts are void")
    raise typer.Exit(EXIT_CODES[reached])


@review.command()
def gate(
    identifier: str = typer.Argument("", metavar="[REVIEW]", help="The review; without one, any of this diff."),
    diff: str = typer.Option("", "--diff", metavar="FILE|RANGE", help="What to look at; else what the review names."),
) -> None:
    """Tell at once whether every reviewer has passed the diff as it is now: read again, this very moment.

    Exits with 0 when they have, 8 when it is not passed, 9 when the review is cancelled, 10 when the diff has changed
    since, 5 when verdicts are awaited; 1 when it can't be read, 2 when there is no such review, 4 without an agent.
    """
    if not identifier and not diff:
        raise UsageError(reason="Name a review, or a --diff.", program=_PROGRAM)
    found = _look(identifier) if identifier else None
    digest = sha256(read_diff(diff, Path.cwd())).hexdigest() if diff else _digest(found) if found else ""
    found = found or best(ask_for(list[Review], "review", "list"), digest)
    if found is None:
        raise UnknownReview(which=f"is of {diff} as it is now", found="none is")
    reached = standing(found, digest)
    if reached is Standing.PASSED:
        typer.echo(f"{found.id}: passed by {_names(found)}")
        return
    remedies = {
        Standing.AWAITED: f"Wait for the verdicts: agentmesh review wait {found.id}",
        Standing.NOT_PASSED: f"See what is to be mended: agentmesh review show {found.id}",
        Standing.CHANGED: f"Submit it again: agentmesh review update {found.id}",
        Standing.CANCELLED: "Start another one: agentmesh review start --diff … --worker … --reviewers …",
    }
    sys.stderr.write(f"review: {found.id}: {reached}. {remedies[reached]}\n")
    raise typer.Exit(EXIT_CODES[reached])


@review.command()
def show(identifier: str = _ID, json: bool = _JSON) -> None:
    """Show a review with all of its rounds: who said what, and how it is known who that was.

    It is asked for where it was started, by its whole id; on the hosts of its worker and its reviewers, too.
    """
    found = ask_for(Review, "review", "show", identifier)
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    typer.echo(f"{found.id}  {_state(found)}")
    for name, value in (
        ("diff", f"{found.diff} in {found.folder}"),
        ("worker", found.worker),
        ("reviewers", _names(found)),
        ("brief", found.brief),
    ):
        typer.echo(without_controls(f"  {name:10} {value}".rstrip()))
    for each in found.rounds:
        typer.echo(f"  round {each.number} of {found.most_rounds}: {each.size} bytes, SHA-256 {each.sha256}")
        for part in each.asks:
            known = f" ({part.origin.identity})" if part.origin.identity else ""
            said = f"{part.verdict}{known}" if part.verdict else "is awaited" if part.is_sent else "is to be asked"
            typer.echo(without_controls(f"    {part.reviewer.address}: {said}  job {part.job}"))
            for line in part.feedback.splitlines():
                typer.echo(f"      | {without_controls(line)}")


@review.command("list")
def list_reviews(
    ended: bool = typer.Option(False, "--all", help="Also those that have ended."), json: bool = _JSON
) -> None:
    """Show the reviews that were started on this host and have not ended."""
    found = [each for each in ask_for(list[Review], "review", "list") if ended or each.state not in ENDS]
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    rows = table("id", "diff", "worker", "reviewers", "state")
    for each in found:
        rows.add_row(*map(escape, (each.id, each.diff, each.worker, _names(each), _state(each))))
    console().print(rows)


@review.command()
def cancel(identifier: str = _ID) -> None:
    """End a review; its reviewers' jobs are cancelled."""
    typer.echo(_state(ask_for(Review, "review", "cancel", identifier)))


class _Copy:
    """A diff as a file that the agent can read, for as long as it is asked."""

    def __init__(self, data: bytes) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="review-")  # noqa: SIM115 (closed at the end of the block)
        self._file.write(data)
        self._file.flush()
        self.name = self._file.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _look(identifier: str, beyond: int = -1, patience: int = 0) -> Review:
    wanted = Look(review=identifier, beyond=beyond, patience=patience)
    return ask_for(Review, "review", "look", msgspec.json.encode(wanted).decode())


def _digest(found: Review) -> str:
    return sha256(read_diff(found.diff, Path(found.folder))).hexdigest()


def _text(feedback: str) -> str:
    """Return standard input, a file's text, or the words themselves."""
    if feedback == "-":
        return sys.stdin.read().strip()
    try:
        is_file = "\n" not in feedback and Path(feedback).is_file()
        return Path(feedback).read_text().strip() if is_file else feedback
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(reason=f"The feedback can't be read: {error}.", program=_PROGRAM) from error


def _names(found: Review) -> str:
    return ", ".join(reviewer.address for reviewer in found.reviewers)


def _state(found: Review) -> str:
    present = found.present
    passed = sum(ask.verdict is Verdict.PASS for ask in present.asks)
    return f"{found.state}: round {present.number} of {found.most_rounds}, {passed} of {len(present.asks)} passed"


def _history(found: Review) -> list[str]:
    """Return a line for each verdict, in the order in which they came, and for each that may never come."""
    known = [(each.number, part.received, part) for each in found.rounds for part in each.asks]
    lines = []
    for number, received, part in sorted(known, key=lambda each: each[:2]):
        if part.verdict or part.feedback:
            when = f"{datetime.fromtimestamp(received).astimezone():%H:%M:%S} " if received else ""
            said = f": {part.feedback.splitlines()[0]}" if part.feedback else ""
            verdict = part.verdict or "no verdict yet"
            lines.append(without_controls(f"{when}round {number}: {verdict} by {part.reviewer.address}{said}"))
    return lines


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the program."""
    commands.add_typer(review, name="review")
