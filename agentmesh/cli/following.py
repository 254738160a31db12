"""What happens to a job, as it happens, in lines for people."""

import math
import sys
import time
from collections.abc import Iterator
from datetime import datetime

import msgspec
import typer

from agentmesh.adapters import ipc
from agentmesh.cli.ask import ask_for
from agentmesh.core.errand import Seen, Watch
from agentmesh.core.event import Event, content
from agentmesh.core.job import EXIT_CODES, Job, is_end
from agentmesh.core.text import without_controls
from agentmesh.errors import NoAgent, Unreachable

PATIENCE = 30
"""Seconds for which the agent is asked at a time."""
TIMED_OUT = 5
_AGAIN_SECONDS = 1.0


def look(identifier: str, beyond: int, patience: int) -> Seen:
    """Return a job and its events beyond so many; where there are none yet, wait for one so many seconds."""
    wanted = Watch(job=identifier, beyond=beyond, patience=patience)
    return ask_for(Seen, "job", "watch", msgspec.json.encode(wanted).decode())


def follow(identifier: str, seconds: int | None) -> Iterator[Seen]:
    """Yield what happens to a job, and at last how it is: when it has ended, or so many seconds are over.

    Goes on when an agent is away meanwhile.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    count, complaint = 0, ""
    while True:
        left = PATIENCE if deadline is None else max(0, min(PATIENCE, math.ceil(deadline - time.monotonic())))
        try:
            seen = look(identifier, count, left)
        except (NoAgent, Unreachable, ipc.Refused) as error:
            if not count or error.exit_code != Unreachable.exit_code or (deadline and time.monotonic() >= deadline):
                raise
            if str(error) != complaint:
                complaint = str(error)
                sys.stderr.write(f"agentmesh job: {complaint} Still waiting.\n")
            time.sleep(_AGAIN_SECONDS)
            continue
        yield seen
        count += len(seen.entries)
        if not seen.entries and (is_end(seen.job.state) or (deadline and time.monotonic() >= deadline)):
            return


def wait_for_end(identifier: str, seconds: int | None) -> int:
    """Show what happens to a job until it ends, or so many seconds are over; return the exit code."""
    for seen in follow(identifier, seconds):
        sys.stderr.writelines(f"{told(entry.event, entry.received)}\n" for entry in seen.entries)
        sys.stderr.flush()
    typer.echo(state_text(seen.job))
    return EXIT_CODES.get(seen.job.state, TIMED_OUT)


def state_text(found: Job) -> str:
    """Return how far a job is, as a line for people."""
    percent = "" if found.percent is None or is_end(found.state) else f" {found.percent} %"
    message = f": {without_controls(found.message)}" if found.message else ""
    return f"{found.state}{percent}{message}"


def told(made: Event, moment: float) -> str:
    """Return an event as a line for people, with the moment, in Unix seconds, at which it was taken up."""
    body = content(made)
    parts = [f"{body['percent']} %"] if "percent" in body else []
    parts += [str(body[name]) for name in ("title", "message") if body.get(name)]
    parts += [msgspec.json.encode(body["data"]).decode()] if "data" in body else []
    said = without_controls(f"{made.type} by {made.sender}{': ' if parts else ''}{', '.join(parts)}")
    return f"{datetime.fromtimestamp(moment).astimezone():%H:%M:%S} {said}"
