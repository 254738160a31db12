"""What this host's workers report of jobs whose home is another: on the disk here until that home has answered."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import msgspec

from agentmesh.agent.log import log
from agentmesh.agent.tasks import Tasks
from agentmesh.core.event import Event, EventType, home_of
from agentmesh.core.model import Origin
from agentmesh.core.wire import Frame, JobAnswer, JobRequest, Report, Reported
from agentmesh.errors import BadEvent, Unreachable
from agentmesh.store import reports
from agentmesh.store.database import Database

ANSWER_SECONDS = 10.0
"""How long a home may take to answer, beyond what it was asked to wait."""
AGAIN_SECONDS = 5.0
"""After how long events are sent again that were not answered."""
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.2, 30.0
"""How long a home isn't tried again that could not be reached though there seemed to be a way; it doubles each time."""
LAST_WORDS = frozenset({EventType.COMPLETED, EventType.ERROR})
"""With which a worker ends its job."""
_Key = tuple[str, str, int]
"""An event's job, emitter and seq."""
TOGETHER = 32
"""How many events may be under way to a home at once, each of another emitter or job."""


class Road(Protocol):
    """What leads to other hosts."""

    async def send(self, host: str, frame: Frame) -> None:
        """Send a frame to a host. Raises Unreachable."""

    async def wait_for_link(self, host: str) -> None:
        """Wait until there is a link to a host."""


class Reports:
    """Sends each home its events: of one emitter for one job the next when the one before it is answered."""

    def __init__(self, database: Database, tasks: Tasks) -> None:
        self._database = database
        self._tasks = tasks
        self._questions: dict[str, tuple[str, asyncio.Future[JobAnswer | None]]] = {}
        """By ticket: the home that is asked, and its answer; None when the link to it was lost."""
        self._outcomes: dict[_Key, asyncio.Future[str | None]] = {}
        """What those wait for who report: why it was dropped, empty if it wasn't; None when the home is away."""
        self._sent: dict[str, dict[_Key, float]] = {}
        """By home: the events that it may be about to answer, and when each was sent."""
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._news: dict[str, asyncio.Event] = {}
        """By home: set when there is an event to send, or one was answered."""
        self.road: Road
        """Set before anything is sent: links and reports need each other."""
        self.on_late_acceptance: Callable[[Event], Awaitable[None]]
        """Told of an event that was accepted when who reported it had ceased to wait for that; set as ``road`` is."""

    async def recover(self) -> None:
        """Go on with what an earlier run has left."""
        for home in await self._database.write(reports.homes):
            self._go_on(home)

    async def ask(self, job: str, beyond: int = 0, patience: int = 0) -> JobAnswer:
        """Ask the home of a job for it, and for its token, or that of a review.

        Raises Unreachable, BadEvent when it doesn't say.
        """
        home, ticket = home_of(job), uuid.uuid4().hex
        answer: asyncio.Future[JobAnswer | None] = asyncio.get_running_loop().create_future()
        self._questions[ticket] = home, answer
        try:
            await self.road.send(home, JobRequest(ticket, job, beyond, patience))
            async with asyncio.timeout(patience + ANSWER_SECONDS):
                answered = await answer
        except TimeoutError as error:
            raise Unreachable(host=home, reason=f"it has not answered for {ANSWER_SECONDS:g} s") from error
        finally:
            del self._questions[ticket]
        if answered is None:
            raise Unreachable(host=home, reason="the link broke before it answered")
        if answered.job is None and answered.review is None:
            raise BadEvent(reason=answered.reason)
        if answered.token and await self._database.write(reports.granted, job) is None:
            await self._database.write(reports.keep_grant, job, answered.token)
        return answered

    async def known_token(self, job: str) -> str | None:
        """Return a job's token, which is empty for a job without one; None if this host was never told."""
        return await self._database.write(reports.granted, job)

    async def token_of(self, job: str) -> str:
        """Return a job's token, from its home if need be. Raises Unreachable, BadEvent."""
        known = await self.known_token(job)
        if known is None:
            answer = await self.ask(job)
            known = answer.token
            if answer.job is None:
                raise BadEvent(reason=f"{job} is a review; name your own job in it, as its brief does")
            if answer.job.is_signed and not known:
                raise BadEvent(reason="this host is none of those that the job is for")
            await self._database.write(reports.keep_grant, job, known)
        return known

    async def ends_under_way(self, senders: Collection[str]) -> list[str]:
        """Return the jobs that these have ended, and whose homes have not answered that."""
        waiting = await self._database.write(reports.waiting)
        return [
            event.job for event in waiting if event.type in LAST_WORDS and event.sender.partition(" ")[0] in senders
        ]

    async def report(self, job: str, sender: str, kind: EventType, content: object, seconds: float) -> str | None:
        """Make an event, store and send it.

        Returns why it was dropped, which is empty if it was accepted; None if that isn't known in time.
        Raises Unreachable when the job's token isn't known here and can't be asked for, BadEvent.
        """
        token = await self.token_of(job)
        body, now_us = msgspec.json.encode(content).decode(), int(time.time() * 1_000_000)
        event = await self._database.write(reports.store, job, sender, kind, body, token, now_us)
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._outcomes[_key(event)] = outcome
        self._go_on(home_of(job))
        try:
            async with asyncio.timeout(seconds):
                return await outcome
        except TimeoutError:
            return None
        finally:
            del self._outcomes[_key(event)]

    async def take_answer(self, frame: JobAnswer | Reported, origin: Origin) -> None:
        """Take in what a home says, if it was asked."""
        match frame:
            case JobAnswer():
                home, answer = self._questions.get(frame.ticket, ("", None))
                if answer is not None and home == origin.host and not answer.done():
                    answer.set_result(frame)
            case Reported(job, emitter, seq, reason):
                event = await self._database.write(reports.settle, origin.host, job, emitter, seq)
                if event is None:
                    return
                if reason:
                    log.warning("event dropped by its job's home", job=job, home=origin.host, reason=reason)
                outcome = self._outcomes.get((job, emitter, seq))
                if outcome is not None and not outcome.done():
                    outcome.set_result(reason)
                elif not reason:
                    await self.on_late_acceptance(event)
                self._tell(origin.host)

    def link_lost(self, home: str) -> None:
        """Await no answer of a home that a link to was lost; send it again what it has not answered."""
        for asked, answer in self._questions.values():
            if asked == home and not answer.done():
                answer.set_result(None)
        if home in self._sent:
            self._sent[home].clear()
        self._tell(home)

    def _go_on(self, home: str) -> None:
        task = self._senders.get(home)
        if task is None or task.done():
            self._senders[home] = self._tasks.start_supervised(f"report to {home}", self._send_all(home))
        self._tell(home)

    def _tell(self, home: str) -> None:
        if news := self._news.pop(home, None):
            news.set()

    async def _send_all(self, home: str) -> None:
        """Send what waits for a home, until nothing does; what was sent is sent again only when no answer comes."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            news = self._news.setdefault(home, asyncio.Event())
            waiting = await self._database.write(reports.next_of_each, home, TOGETHER)
            if not waiting:
                self._sent.pop(home, None)
                return
            now = time.monotonic()
            sent = {key: at for key, at in self._sent.get(home, {}).items() if at > now - AGAIN_SECONDS}
            self._sent[home] = sent
            try:
                for event in waiting:
                    if _key(event) not in sent:
                        await self.road.send(home, Report(event))
                        sent[_key(event)] = now
                async with asyncio.timeout(AGAIN_SECONDS):
                    await news.wait()
                pause = FIRST_PAUSE_SECONDS
            except TimeoutError:
                continue
            except Unreachable:
                sent.clear()
                for key, outcome in self._outcomes.items():
                    if home_of(key[0]) == home and not outcome.done():
                        outcome.set_result(None)
                await self.road.wait_for_link(home)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE_SECONDS)


def _key(event: Event) -> _Key:
    return event.job, event.sender, event.seq
