"""What is asked and told about jobs: by this host's commands, and by peers."""

import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from agentmesh.adapters.ipc import Request
from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.jobs import Jobs
from agentmesh.agent.log import log
from agentmesh.agent.overhearing import Overhearing
from agentmesh.agent.reports import LAST_WORDS, Reports
from agentmesh.agent.tasks import Tasks, first_of
from agentmesh.core.delivery import EXIT_CODES, State
from agentmesh.core.errand import Seen, Step, Submission, Watch
from agentmesh.core.event import Event, EventType, content, home_of, is_job_id
from agentmesh.core.job import Job
from agentmesh.core.model import Origin, Pane, UnixTime
from agentmesh.core.review import Review, has_part
from agentmesh.core.wire import LARGEST_FRAME, JobAnswer, JobFrame, JobRequest, Report, Reported
from agentmesh.errors import BadEvent, ForeignJob, UnknownJob, Unreachable, UsageError
from agentmesh.store import jobs as store
from agentmesh.store import reviews
from agentmesh.store.database import Database
from agentmesh.store.workers import Working

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentmesh.agent.directory import Caller, Directory
    from agentmesh.agent.submitting import Submitting
    from agentmesh.agent.workers import Workers

REPORT_SECONDS = 5.0
"""How long a command waits to hear that its event was accepted; then it is on its way."""
MOST_WAITING = 256
"""Questions of one peer that wait for an event at once; more are answered as it stands."""


class Errands:
    """Decides nothing itself: it brings questions and reports to the home of the job, and the answers back."""

    def __init__(
        self, database: Database, jobs: Jobs, reports: Reports, overhearing: Overhearing, tasks: Tasks
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._reports = reports
        self.overhearing = overhearing
        self._tasks = tasks
        self._waiting: Counter[str] = Counter()
        reports.on_late_acceptance = self._accepted_late
        self.directory: Directory
        self.submitting: Submitting
        self.workers: Workers
        """All set before any command comes: links, which need this, come before them."""
        self.on_completed: Callable[[Pane | None, UnixTime], Awaitable[None]] = _ignore
        """Told in which pane a worker has completed a job, and when, once the job's home has accepted that."""

    async def run(self, request: Request, answer: Answer) -> int:
        """Do what the words after ``job`` ask; returns the exit code. Raises AgentmeshError."""
        match request.words[1:]:
            case ["submit", text]:
                return await self.submitting.submit(msgspec.json.decode(text, type=Submission), request, answer)
            case ["report", text]:
                return await self._report(msgspec.json.decode(text, type=Step), request, answer)
            case ["watch", text]:
                if seen := await first_of(self.watch(msgspec.json.decode(text, type=Watch)), answer.gone()):
                    await answer.write_output(as_json(seen))
            case ["overhear", identifier]:
                await self.overhearing.overhear(await self._full_id(identifier), answer)
            case ["list", which]:
                await answer.write_output(as_json(await self._jobs.listed(ended=which == "all")))
            case ["verify", identifier]:
                job, token = await self._own(identifier)
                count = await self._jobs.records.verify(job, token)
                await answer.write_output(f"{job.id}: {count} events, all as they were accepted\n")
            case ["cancel", identifier, reason]:
                job, _ = await self._own(identifier)
                await answer.write_output(as_json(await self._jobs.cancel(job, reason)))
            case _:
                raise UsageError(reason="This agent doesn't know that command; is it older?", program="agentmesh job")
        return 0

    async def review(self, identifier: str) -> Review:
        """Return a review of another host that this one has a part in. Raises ForeignJob, Unreachable."""
        home = home_of(identifier)
        try:
            answered = await self._reports.ask(identifier)
        except BadEvent as error:
            raise ForeignJob(id=identifier, home=home) from error
        if answered.review is None:
            raise ForeignJob(id=identifier, home=home)
        return answered.review

    async def handle(self, frame: JobFrame, origin: Origin) -> None:
        """Do what a peer asks or tells about a job, and answer it. Returns when that is done, or may wait."""
        match frame:
            case JobRequest() if self._waiting[origin.host] < MOST_WAITING:
                self._waiting[origin.host] += 1
                self._tasks.start_supervised(f"watch {frame.job} for {origin.host}", self._wait_for(frame, origin.host))
            case JobRequest():
                await self._reply(origin.host, await self._answer(frame, origin.host, 0))
            case Report(event):
                try:
                    await self._jobs.accept(event, origin)
                    reason = ""
                except BadEvent as error:
                    reason = str(error.facts["reason"])
                await self._reply(origin.host, Reported(event.job, event.sender, event.seq, reason))
            case _:
                await self._reports.take_answer(frame, origin)

    def link_lost(self, host: str) -> None:
        """Learn that a link to a host has ended, and with it what was on its way."""
        self._reports.link_lost(host)

    async def say_lost(self, working: Working, reason: str) -> None:
        """Say that a program of this host has ended that worked on a job. Raises BadEvent, Unreachable."""
        said = {"message": reason}
        if home_of(working.job) == self._jobs.alias:
            await self._jobs.report(working.job, working.sender, EventType.LOST, said)
        else:
            await self._reports.report(working.job, working.sender, EventType.LOST, said, 0)

    async def _wait_for(self, asked: JobRequest, host: str) -> None:
        try:
            await self._reply(host, await self._answer(asked, host, asked.patience))
        finally:
            self._waiting[host] -= 1
            if not self._waiting[host]:
                del self._waiting[host]

    async def _answer(self, asked: JobRequest, host: str, patience: int) -> JobAnswer:
        seen = await self._jobs.watch(asked.job, asked.beyond, patience)
        if seen is None:
            return await self._answer_of_review(asked, host)
        job, entries = seen
        found = await self._jobs.find(asked.job)
        token = found[1] if found and host in job.hosts else ""
        room = LARGEST_FRAME // 2
        count = 0
        for entry in entries:
            room -= len(msgspec.json.encode(entry))
            if room < 0:
                break
            count += 1
        return JobAnswer(asked.ticket, job, tuple(entries[:count]), token)

    async def _answer_of_review(self, asked: JobRequest, host: str) -> JobAnswer:
        review = await self._database.write(reviews.find, asked.job)
        if review is None:
            return JobAnswer(asked.ticket, reason=f"there is no job {asked.job} here")
        if not has_part(review, host):
            return JobAnswer(asked.ticket, reason=f"{host} has no part in the review {asked.job}")
        if len(msgspec.json.encode(review)) > LARGEST_FRAME // 2:
            return JobAnswer(asked.ticket, reason=f"the review {asked.job} is too large to be sent")
        return JobAnswer(asked.ticket, review=review)

    async def _reply(self, host: str, reply: JobAnswer | Reported) -> None:
        try:
            await self._reports.road.send(host, reply)
        except Unreachable as error:
            log.info("answer about a job not sent", peer=host, reason=error)

    async def _report(self, step: Step, request: Request, answer: Answer) -> int:
        """Sign an event, and bring it to the job's home; returns the exit code. Raises BadEvent when it is dropped."""
        caller = await self.directory.caller(request)
        job = await self._full_id(step.job)
        said = step.content | {"pane": self._addresses_of(caller)}
        if step.type in LAST_WORDS:
            await self.workers.forget(job, caller.name)
        reason: str | None = ""
        if home_of(job) == self._jobs.alias:
            await self._own(job)
            await self._jobs.report(job, caller.name, step.type, said)
        else:
            reason = await self._reports.report(job, caller.name, step.type, said, REPORT_SECONDS)
        if reason:
            raise BadEvent(reason=reason)
        if step.type not in LAST_WORDS:
            await self.workers.note(job, caller, request)
        if reason is not None:
            if step.type is EventType.COMPLETED:
                await self.on_completed(caller.pane, int(time.time()))
            await answer.write_output(f"{step.type}: accepted\n")
        elif step.type is EventType.CLAIMED:
            outcome = f"{home_of(job)} has not answered. The claim is on its way, and may win or not"
            await answer.write_error(
                f"job: not known yet: {outcome}; see `agentmesh job show {job}` before you begin.\n"
            )
            return EXIT_CODES[State.UNCERTAIN]
        else:
            await answer.write_output(f"{step.type}: it is told to {home_of(job)} as soon as that can be reached\n")
        return 0

    async def _accepted_late(self, event: Event) -> None:
        """Tell that a worker has completed a job, which was not known yet when its command ended."""
        if event.type is EventType.COMPLETED:
            await self.on_completed(self.directory.pane_at(content(event).get("pane", [])), event.time)

    async def unended_jobs(self, addresses: list[str]) -> list[str]:
        """Return the jobs that a worker of this host has claimed and not ended, or not by their homes' word."""
        return [*self.workers.jobs_of(addresses), *await self._reports.ends_under_way(addresses)]

    def _addresses_of(self, caller: "Caller") -> list[str]:
        """Return every address of the pane that a command runs in: by the kernel's word, whatever it calls itself."""
        return self.directory.addresses_of(caller.pane) if caller.pane else []

    async def watch(self, wanted: Watch) -> Seen:
        """Return a job and what has happened to it, by its home's word. Raises UnknownJob, Unreachable."""
        job = await self._full_id(wanted.job)
        if home_of(job) == self._jobs.alias:
            seen = await self._jobs.watch(job, wanted.beyond, wanted.patience)
            if seen is None:
                raise UnknownJob(id=job, found="none")
            dropped = tuple(entry.reason for entry in await self._jobs.dropped(job))
            briefs = tuple(await self._jobs.briefs(job))
            return Seen(job=seen[0], entries=tuple(seen[1]), dropped=dropped, briefs=briefs)
        try:
            answered = await self._reports.ask(job, wanted.beyond, wanted.patience)
        except BadEvent as error:
            raise UnknownJob(id=job, found="none") from error
        if answered.job is None:
            raise UnknownJob(id=job, found="none")
        return Seen(job=answered.job, entries=answered.entries)

    async def _own(self, identifier: str) -> tuple[Job, str]:
        job = await self._full_id(identifier)
        found = await self._jobs.find(job)
        if found is None and home_of(job) != self._jobs.alias:
            raise ForeignJob(id=job, home=home_of(job))
        if found is None:
            raise UnknownJob(id=identifier, found="none")
        return found

    async def _full_id(self, ending: str) -> str:
        """Return the id that ends so, of a job of this host or one that it works on; any whole id may be another's."""
        found = await self._database.write(store.ending, ending) if ending else []
        if len(found) == 1:
            return found[0]
        if not found and is_job_id(ending):
            return ending
        raise UnknownJob(id=ending, found=", ".join(found) or "none")


async def _ignore(_pane: Pane | None, _moment: UnixTime) -> None:
    """Do nothing."""
