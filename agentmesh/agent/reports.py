"""What this host's workers report of jobs whose home is another: on the disk here until that home has answered."""

import asyncio
import uuid
from typing import Protocol

from agentmesh.agent.log import log
from agentmesh.agent.tasks import Tasks
from agentmesh.core.event import Event, home_of
from agentmesh.core.model import Origin
from agentmesh.core.wire import Frame, JobAnswer, JobRequest, Report, Reported
from agentmesh.errors import BadEvent, Unreachable
from agentmesh.store import reports
from agentmesh.store.database import Database

ANSWER_SECONDS = 10.0
"""How long a home may take to answer, beyond what it was asked to wait."""
AGAIN_SECONDS = 5.0
"""After how long an event is sent again that was not answered."""


class Road(Protocol):
    """What leads to other hosts."""

    async def send(self, host: str, frame: Frame) -> None:
        """Send a frame to a host. Raises Unreachable."""

    async def wait_for_link(self, host: str) -> None:
        """Wait until there is a link to a host."""


class Reports:
    """Sends each home its events in their order, each until it is answered."""

    def __init__(self, database: Database, tasks: Tasks) -> None:
        self._database = database
        self._tasks = tasks
        self._questions: dict[str, tuple[str, asyncio.Future[JobAnswer]]] = {}
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._settled = asyncio.Event()
        self.road: Road
        """Set before anything is sent: links and reports need each other."""

    async def recover(self) -> None:
        """Go on with what an earlier run has left."""
        for home in await self._database.write(reports.homes):
            self._go_on(home)

    async def ask(self, job: str, beyond: int = 0, patience: int = 0) -> JobAnswer:
        """Ask a job's home for it, and for its token. Raises Unreachable, BadEvent when it doesn't say."""
        home, ticket = home_of(job), uuid.uuid4().hex
        answer: asyncio.Future[JobAnswer] = asyncio.get_running_loop().create_future()
        self._questions[ticket] = home, answer
        try:
            await self.road.send(home, JobRequest(ticket, job, beyond, patience))
            async with asyncio.timeout(patience + ANSWER_SECONDS):
                answered = await answer
        except TimeoutError as error:
            raise Unreachable(host=home, reason="it doesn't answer; is its agentmesh older than jobs?") from error
        finally:
            del self._questions[ticket]
        if answered.job is None:
            raise BadEvent(reason=answered.reason)
        return answered

    async def token_of(self, job: str) -> str:
        """Return a job's token, from its home if need be. Raises Unreachable, BadEvent."""
        known = await self._database.write(reports.granted, job)
        if known is None:
            answer = await self.ask(job)
            known = answer.token
            if answer.job and answer.job.is_signed and not known:
                raise BadEvent(reason="this host is none of those that the job is for")
            await self._database.write(reports.keep_grant, job, known)
        return known

    async def report(self, event: Event, seconds: float) -> str | None:
        """Store an event and send it.

        Returns why it was dropped, which is empty if it was accepted; None if that isn't known in time.
        """
        home = home_of(event.job)
        await self._database.write(reports.store, home, event)
        self._go_on(home)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    settled = self._settled
                    reason = await self._database.write(reports.outcome, event)
                    if reason is not None:
                        return reason
                    await settled.wait()
        except TimeoutError:
            return None

    async def take_answer(self, frame: JobAnswer | Reported, origin: Origin) -> None:
        """Take in what a home says, if it was asked."""
        match frame:
            case JobAnswer():
                home, answer = self._questions.get(frame.ticket, ("", None))
                if answer is not None and home == origin.host and not answer.done():
                    answer.set_result(frame)
            case Reported(job, emitter, seq, reason):
                if reason:
                    log.warning("event dropped by its job's home", job=job, home=origin.host, reason=reason)
                await self._database.write(reports.settle, origin.host, job, emitter, seq, reason)
                self._settled.set()
                self._settled = asyncio.Event()

    def _go_on(self, home: str) -> None:
        task = self._senders.get(home)
        if task is None or task.done():
            self._senders[home] = self._tasks.start_supervised(f"report to {home}", self._send_all(home))

    async def _send_all(self, home: str) -> None:
        while waiting := await self._database.write(reports.waiting, home):
            settled = self._settled
            try:
                await self.road.send(home, Report(waiting[0]))
                async with asyncio.timeout(AGAIN_SECONDS):
                    await settled.wait()
            except TimeoutError:
                continue
            except Unreachable:
                await self.road.wait_for_link(home)
