"""What happens to sessions, and to the jobs that are subscribed to, as it happens: a line of JSON each."""

import os
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread

import msgspec
import typer

from agentmesh.cli.ask import ask, ask_for
from agentmesh.cli.subscription import End, Line, Subscription
from agentmesh.core.job import Job
from agentmesh.core.session_request import News, NewsRequest
from agentmesh.errors import AgentmeshError, NoAgent, Unreachable, UsageError

INTERVAL = 30
"""Seconds after which all is compared again, though nothing was heard."""
POLL_SECONDS = 15.0
"""How often a job's home is asked while it can't be followed."""
IDLE = 5
"""The exit code when nothing has happened for too long."""
_AGAIN_SECONDS = 1.0
_NOT_NOW = 3
"""What the agent answers when a session can't be closed yet."""


class Monitor:
    """Prints what threads of its own hear."""

    def __init__(self, jobs: Sequence[str], *, every: bool, closes: bool) -> None:
        """Follow these jobs, and ``every`` one that is submitted on this host; ``closes`` their workers' sessions."""
        self._jobs = jobs
        self._every = every
        self._closes = closes
        self._heard: SimpleQueue[Line | AgentmeshError] = SimpleQueue()
        self._poll_seconds = _poll_seconds()

    def run(self, seconds: int, idle_seconds: int) -> int:
        """Print until time is over, or nothing has happened for too long (0: never); return the exit code.

        Raises what keeps it from beginning: NoAgent, UnknownJob.
        """
        Thread(target=self._hear_drifts, daemon=True).start()
        for job in self._jobs:
            Thread(target=self._hear_job, args=(job,), daemon=True).start()
        if self._every:
            Thread(target=self._find_jobs, daemon=True).start()
        began = heard = time.monotonic()
        while True:
            ends = [(began + seconds, "timeout", 0)] * bool(seconds)
            ends += [(heard + idle_seconds, "idle", IDLE)] * bool(idle_seconds)
            until, reason, code = min(ends, default=(float("inf"), "", 0))
            left = until - time.monotonic()
            try:
                told = self._heard.get(timeout=max(0.0, min(left, INTERVAL)))
            except Empty:
                if left > INTERVAL:
                    continue
                _print({"event": "end", "reason": reason})
                return code
            if isinstance(told, AgentmeshError):
                raise told
            _print(told)
            if told["event"] != "heartbeat":
                heard = time.monotonic()

    def _hear_drifts(self) -> None:
        known, is_away = NewsRequest(), False
        while True:
            try:
                news = ask_for(News, "session", "news", msgspec.json.encode(known).decode())
            except (NoAgent, Unreachable) as error:
                if not known.run:
                    self._heard.put(error)
                    return
                if not is_away:
                    self._heard.put({"event": "agent-away", "reason": str(error)})
                known, is_away = msgspec.structs.replace(known, patience=0), True
                time.sleep(_AGAIN_SECONDS)
                continue
            except AgentmeshError as error:
                self._heard.put(error)
                return
            if is_away:
                self._heard.put({"event": "agent-back"})
                is_away = False
            for drift in news.drifts:
                facts = {"class": drift.drift_class, "session": drift.session, "what": drift.what}
                self._heard.put({"event": "drift", **facts, "action": drift.action})
            if not news.drifts:
                self._heard.put({"event": "heartbeat", "running": news.running})
            known = NewsRequest(run=news.run, beyond=news.beyond, patience=INTERVAL)

    def _find_jobs(self) -> None:
        """Follow each job of this host that has not ended."""
        known: set[str] = set()
        while True:
            try:
                found = {job.id for job in ask_for(list[Job], "job", "list", "open")} - known
            except AgentmeshError:
                found = set()  # that the agent is away is said by who hears the drifts
            for job in found:
                Thread(target=self._hear_job, args=(job,), daemon=True).start()
            known |= found
            time.sleep(self._poll_seconds)

    def _hear_job(self, job: str) -> None:
        try:
            end = Subscription(job, self._poll_seconds, self._heard.put).follow()
        except AgentmeshError as error:
            self._heard.put(error)
            return
        if self._closes:
            self._close_worker_of(end)

    def _close_worker_of(self, end: End) -> None:
        """Have the session closed; where it can't be now, as while it still works, try again."""
        job, complaint = end.job, ""
        while True:
            try:
                said = ask("session", "close-worker", job, *filter(None, [end.overheard])).decode().strip()
            except AgentmeshError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    self._heard.put({"event": "not-closed", "job": job, "reason": complaint})
                if error.exit_code not in {_NOT_NOW, Unreachable.exit_code}:
                    return
            else:
                self._heard.put({"event": "closed", "job": job, "what": said})
                return
            time.sleep(self._poll_seconds)


def _print(line: Line) -> None:
    typer.echo(msgspec.json.encode({"time": int(time.time()), **line}))


def _poll_seconds() -> float:
    text = os.environ.get("RECONCILE_POLL_INTERVAL", "") or str(POLL_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        reason = f"RECONCILE_POLL_INTERVAL is {text!r}, and must be a number of seconds above 0."
        raise UsageError(reason=reason, program="agentmesh session monitor")
    return seconds
