"""What is asked and told about jobs: by this host's commands, and by peers."""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from agentmesh.adapters.ipc import Request
from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.jobs import Jobs
from agentmesh.agent.log import log
from agentmesh.agent.reports import Reports
from agentmesh.core.errand import Seen, Step, Submission, Watch
from agentmesh.core.event import Event, home_of, signed
from agentmesh.core.job import Job, brief_text
from agentmesh.core.model import HERE, Origin
from agentmesh.core.wire import JobAnswer, JobFrame, JobRequest, Report, Reported
from agentmesh.errors import BadEvent, UnknownJob, Unreachable, UsageError
from agentmesh.store import jobs as store
from agentmesh.store.database import Database

if TYPE_CHECKING:
    from agentmesh.agent.directory import Caller, Directory

REPORT_SECONDS = 5.0
"""How long a command waits to hear that its event was accepted; then it is on its way."""
BRIEF_PATIENCE = "24h"
"""How long a brief may wait for its pane."""

Send = Callable[[Request, Answer], Awaitable[int]]
"""Runs notify-pane."""


class Errands:
    """Decides nothing itself: it brings questions and reports to the home of the job, and the answers back."""

    def __init__(self, database: Database, jobs: Jobs, reports: Reports) -> None:
        self._database = database
        self._jobs = jobs
        self._reports = reports
        self.directory: Directory
        self.send: Send
        """Both set before any command comes: links, which need this, come before them."""

    async def run(self, request: Request, answer: Answer) -> int:
        """Do what the words after ``job`` ask; returns the exit code. Raises AgentmeshError."""
        match request.words[1:]:
            case ["submit", text]:
                return await self._submit(msgspec.json.decode(text, type=Submission), request, answer)
            case ["report", text]:
                return await self._report(msgspec.json.decode(text, type=Step), request, answer)
            case ["watch", text]:
                seen = await self._watch(msgspec.json.decode(text, type=Watch))
                await answer.write_output(as_json(seen))
            case ["list", which]:
                await answer.write_output(as_json(await self._jobs.listed(ended=which == "all")))
            case ["verify", identifier]:
                job, token = await self._own(identifier)
                count = await self._jobs.verify(job, token)
                await answer.write_output(f"{job.id}: {count} events, all as they were accepted\n")
            case ["cancel", identifier, reason]:
                job, token = await self._own(identifier)
                await answer.write_output(as_json(await self._jobs.cancel(job, token, reason)))
            case _:
                raise UsageError(reason="This agent doesn't know that command; is it older?", program="agentmesh job")
        return 0

    async def handle(self, frame: JobFrame, origin: Origin) -> None:
        """Do what a peer asks or tells about a job, and answer it."""
        reply: JobAnswer | Reported
        match frame:
            case JobRequest():
                reply = await self._answer(frame, origin.host)
            case Report(event):
                reply = await self._take(event, origin)
            case _:
                await self._reports.take_answer(frame, origin)
                return
        try:
            await self._reports.road.send(origin.host, reply)
        except Unreachable as error:
            log.info("answer about a job not sent", peer=origin.host, reason=error)

    async def _answer(self, asked: JobRequest, host: str) -> JobAnswer:
        seen = await self._jobs.watch(asked.job, asked.beyond, asked.patience)
        if seen is None:
            return JobAnswer(asked.ticket, reason=f"there is no job {asked.job} here")
        job, entries = seen
        found = await self._jobs.find(asked.job)
        token = found[1] if found and host in job.hosts else ""
        return JobAnswer(asked.ticket, job, tuple(entries), token)

    async def _take(self, event: Event, origin: Origin) -> Reported:
        try:
            await self._jobs.accept(event, origin)
        except BadEvent as error:
            return Reported(event.job, event.sender, event.seq, str(error.facts["reason"]))
        return Reported(event.job, event.sender, event.seq)

    async def _submit(self, wanted: Submission, request: Request, answer: Answer) -> int:
        """Register a job, and send its brief; the exit code is that of sending it."""
        caller = await self.directory.caller(request)
        matches = await self.directory.find(wanted.to, caller)
        now = int(time.time())
        draft = Job(
            id=f"{self._jobs.alias}-{'0' * 16}",
            home=self._jobs.alias,
            submitter=caller.name,
            to=wanted.to,
            hosts=tuple(sorted({match.pane.host for match in matches})),
            title=wanted.title,
            brief=wanted.brief,
            created=now,
            expires=now + wanted.seconds if wanted.seconds else 0,
            retry_of=wanted.retry_of,
        )
        job = await self._jobs.register(draft, is_signed=wanted.is_signed)
        await answer.write_output(f"{job.id}\n")
        files = [word for path in wanted.files for word in ("--file", path)]
        words = ["notify-pane", "--queue", "--expires", BRIEF_PATIENCE, *files, "--", wanted.to, brief_text(job)]
        return await self.send(msgspec.structs.replace(request, words=words), _Aside(answer))

    async def _report(self, step: Step, request: Request, answer: Answer) -> int:
        """Sign an event, and bring it to the job's home. Raises BadEvent when it is dropped there."""
        caller = await self.directory.caller(request)
        job = await self._full_id(step.job)
        is_ours = home_of(job) == self._jobs.alias
        token = (await self._own(job))[1] if is_ours else await self._reports.token_of(job)
        now = time.time()
        event = Event(
            job=job,
            seq=await self._database.write(store.next_seq, job, caller.name, int(now * 1_000_000)),
            type=step.type,
            time=int(now),
            sender=caller.name,
            body=msgspec.json.encode(step.content | {"pane": self._addresses_of(caller)}).decode(),
        )
        event = signed(event, token)
        if is_ours:
            await self._jobs.accept(event, HERE)
            reason: str | None = ""
        else:
            reason = await self._reports.report(event, REPORT_SECONDS)
        if reason:
            raise BadEvent(reason=reason)
        outcome = f"it is told to {home_of(job)} as soon as that can be reached" if reason is None else "accepted"
        await answer.write_output(f"{step.type}: {outcome}\n")
        return 0

    def _addresses_of(self, caller: "Caller") -> list[str]:
        """Return every address of the pane that a command runs in: by the kernel's word, whatever it calls itself."""
        return self.directory.addresses_of(caller.pane) if caller.pane else []

    async def _watch(self, wanted: Watch) -> Seen:
        job = await self._full_id(wanted.job)
        if home_of(job) == self._jobs.alias:
            seen = await self._jobs.watch(job, wanted.beyond, wanted.patience)
            if seen is None:
                raise UnknownJob(id=job, found="none")
            dropped = tuple(entry.reason for entry in await self._jobs.dropped(job))
            return Seen(job=seen[0], entries=tuple(seen[1]), dropped=dropped)
        answered = await self._reports.ask(job, wanted.beyond, wanted.patience)
        if answered.job is None:
            raise UnknownJob(id=job, found="none")
        return Seen(job=answered.job, entries=answered.entries)

    async def _own(self, identifier: str) -> tuple[Job, str]:
        found = await self._jobs.find(await self._full_id(identifier))
        if found is None:
            raise UnknownJob(id=identifier, found="none")
        return found

    async def _full_id(self, ending: str) -> str:
        """Return the id of the job of this host that ends so; what isn't one of those may be another host's."""
        found = [job.id for job in await self._jobs.listed(ended=True) if job.id.endswith(ending)]
        if ending in found or not found:
            return ending if "-" in ending else _unknown(ending, "none")
        return found[0] if len(found) == 1 else _unknown(ending, str(len(found)))


def _unknown(ending: str, found: str) -> str:
    raise UnknownJob(id=ending, found=found)


class _Aside:
    """A command's answer whose results are told on the side: what was submitted is the result."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def write_output(self, text: str) -> None:
        """Write to the command's standard error."""
        await self._answer.write_error(text)

    async def write_error(self, text: str) -> None:
        """Write to the command's standard error."""
        await self._answer.write_error(text)

    async def read_input(self, largest: int) -> bytes:
        """Return the command's standard input."""
        return await self._answer.read_input(largest)

    async def gone(self) -> None:
        """Wait until the command has ended."""
        await self._answer.gone()
