"""The reviews whose home is this host: each reviewer asked once, each verdict taken up, the worker told once a round.

What is to be done is on disk before it is begun, under ids that are chosen then: what a crash has cut off is begun
again, and what was done already isn't done twice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from agentmesh.adapters.files import make_private_folder, replace
from agentmesh.agent.handover import Handover, Note
from agentmesh.agent.jobs import Jobs
from agentmesh.agent.log import log
from agentmesh.agent.tasks import Tasks, supervised
from agentmesh.core import review as core
from agentmesh.core.delivery import State, exit_code
from agentmesh.core.event import EventType, content
from agentmesh.core.job import Job, is_end
from agentmesh.core.review import Ask, Review, Verdict
from agentmesh.core.review_text import ask_text, feedback_text, message_id
from agentmesh.core.text import LARGEST_BODY
from agentmesh.errors import AgentmeshError, BadEvent, BadFile, Unreachable
from agentmesh.store import reviews as store
from agentmesh.store.database import Database

AGAIN_SECONDS = 5.0
"""After how long it is looked again for what could not be done."""
LARGEST_DIFF = 64 * 1024 * 1024
"""Bytes."""


class Reviews:
    """Takes each review on as far as it can be."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        jobs: Jobs,
        handover: Handover,
        wait_for_link: Callable[[str], Awaitable[None]],
        tasks: Tasks,
    ) -> None:
        self._folder = folder
        self._database = database
        self._jobs = jobs
        self._handover = handover
        self._wait_for_link = wait_for_link
        self._tasks = tasks
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._news = asyncio.Event()
        """Set when anything has happened to any job."""
        jobs.listeners.append(lambda _: self._news.set())

    async def start(self, draft: Review, content_path: Path) -> Review:
        """Store a review with its first round. Raises BadFile."""
        review = msgspec.structs.replace(draft, id=self._jobs.new_id())
        digest, size = await self._keep(review, content_path)
        review = core.begun(review, digest, size, iter(self._jobs.new_id, None), int(time.time()))
        await self._database.write(store.add, review)
        self._wake()
        return review

    async def update(self, review: Review, content_path: Path, diff: str, folder: str) -> Review:
        """Submit a diff again. Raises BadFile, BadReview."""
        digest, size = await self._keep(review, content_path)
        now = int(time.time())

        def step(found: Review) -> Review:
            named = msgspec.structs.replace(found, diff=diff, folder=folder)
            return core.begun(named, digest, size, iter(self._jobs.new_id, None), now)

        return await self._change(review, step)

    async def cancel(self, review: Review) -> Review:
        """End a review. Raises BadReview."""
        return await self._change(review, lambda found: core.after(found, core.Turn.CANCEL))

    async def find(self, identifier: str) -> Review | None:
        """Return a review of this host."""
        return await self._database.write(store.find, identifier)

    async def listed(self) -> list[Review]:
        """Return every review of this host, oldest first."""
        return await self._database.write(store.listed)

    async def watch(self, identifier: str, beyond: int, patience: float) -> Review | None:
        """Return a review; while it is of a revision that is known already, wait for another one so many seconds."""
        deadline = time.monotonic() + patience
        while True:
            changed = self._changed
            found = await self.find(identifier)
            left = deadline - time.monotonic()
            if found is None or found.revision > beyond or left <= 0:
                return found
            await _within(left, changed)

    async def keep_going(self) -> None:
        """Take every review on, whenever something has happened."""
        while True:
            self._news.clear()
            changed = self._changed
            unsettled = await self._database.write(store.listed, settled=False)
            for review in unsettled:
                with supervised("review not taken on", review=review.id):
                    await self._take_on(review)
            await _within(AGAIN_SECONDS, changed, *([self._news] if unsettled else []))

    async def _take_on(self, review: Review) -> None:
        for ask in core.overtaken(review):
            await self._settle(review, ask, reason="the diff has changed, or the review was cancelled")
        for ask in core.awaited(review):
            await self._see_to(review, ask)
        found = await self.find(review.id)
        if found and core.owes_feedback(found):
            self._begin(f"feedback of {found.id} {found.present.number}", partial(self._tell, found))

    async def _see_to(self, review: Review, ask: Ask) -> None:
        """Have a reviewer asked, and take up the verdict."""
        found = await self._jobs.find(ask.job)
        if found is None:
            await self._jobs.register(self._job(review, ask), is_signed=True, identifier=ask.job)
        elif is_end(found[0].state):
            await self._settle(review, ask)
            return
        elif found[0].lost != ask.feedback:
            lost = msgspec.structs.replace(ask, feedback=found[0].lost)
            await self._change(review, lambda now: core.noted(now, lost) if ask in core.awaited(now) else now)
            return
        if not ask.is_sent:
            self._begin(_brief_of(ask), partial(self._ask, review, ask))
            return
        receipt = await self._handover.receipt(message_id(_brief_of(ask)))
        if receipt and exit_code(receipt.state) and receipt.state is not State.UNCERTAIN:
            await self._settle(review, ask, reason=f"it could not be asked: {receipt.state} {receipt.detail}".strip())

    async def _settle(self, review: Review, ask: Ask, reason: str = "") -> None:
        """Take up what became of a review job, which is cancelled first, for a reason, if it has not ended."""
        found = await self._jobs.find(ask.job)
        sending = self._sending.get(_brief_of(ask))
        if sending and sending is not asyncio.current_task():
            sending.cancel()
        if found and not is_end(found[0].state):
            try:
                await self._jobs.cancel(found[0], reason)
            except BadEvent:
                return  # it has just ended by itself: that is taken up the next time
        answered = await self._answer(ask, reason)
        await self._change(review, lambda now: core.noted(now, answered))
        log.info("verdict taken up", review=review.id, job=ask.job, verdict=answered.verdict)

    async def _answer(self, ask: Ask, reason: str) -> Ask:
        """Return a reviewer's part as the end of its job tells it."""
        last = await self._jobs.last(ask.job)
        if last is None:
            return msgspec.structs.replace(ask, verdict=Verdict.NONE, feedback=reason)
        body = content(last.event)
        said = str(body.get("verdict", ""))
        is_verdict = last.event.type is EventType.COMPLETED and said in {Verdict.PASS, Verdict.NOT_PASS}
        ended = f"its job ended: {last.event.type} {body.get('message', '')}".strip()
        return msgspec.structs.replace(
            ask,
            verdict=Verdict(said) if is_verdict else Verdict.NONE,
            feedback=str(body.get("feedback", "")) if is_verdict else ended,
            received=last.received,
            origin=last.origin,
        )

    def _job(self, review: Review, ask: Ask) -> Job:
        return Job(
            id=ask.job,
            home=self._jobs.alias,
            submitter=review.submitter,
            to=ask.reviewer.address,
            hosts=(ask.reviewer.host,),
            title=f"review {review.id[-8:]} of SHA-256 {review.present.sha256}",
            brief=ask_text(review, ask),
            created=int(time.time()),
            is_personal=True,
        )

    def _begin(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something beside everything else, if that isn't under way already."""
        if what not in self._sending:
            task = self._tasks.start_supervised(what, work())
            self._sending[what] = task
            task.add_done_callback(lambda _: self._sending.pop(what, None))

    async def _ask(self, review: Review, ask: Ask) -> None:
        note = Note(
            id=message_id(_brief_of(ask)),
            sender=review.submitter,
            to=ask.reviewer.address,
            host=ask.reviewer.host,
            text=ask_text(review, ask),
            file=self._diff(review, review.present.sha256),
        )
        try:
            await self._handover.send(note)
        except Unreachable as error:
            log.info("reviewer not reached", review=review.id, peer=ask.reviewer.host, reason=error)
            await self._wait_for_link(ask.reviewer.host)
        except AgentmeshError as error:
            await self._settle(review, ask, reason=f"it could not be asked: {error}")
        else:
            sent = msgspec.structs.replace(ask, is_sent=True)
            await self._change(review, lambda now: core.noted(now, sent) if ask in core.awaited(now) else now)

    async def _tell(self, review: Review) -> None:
        """Give the worker the feedback of a round: as one message, or as a file where that would be too long."""
        number = review.present.number
        text = feedback_text(review, self._jobs.alias)
        file = None
        if len(text.encode()) > LARGEST_BODY:
            file = self._folder / review.id / f"review-{review.id[-8:]}-feedback-{number}.txt"
            await asyncio.to_thread(replace, file, text.encode())
            text = text.splitlines()[0]
        note = Note(
            id=message_id(f"feedback of {review.id} {number}"),
            sender=review.submitter,
            to=review.worker,
            host=review.worker_host,
            text=text,
            file=file,
        )
        try:
            await self._handover.send(note)
        except Unreachable as error:
            log.info("worker not reached", review=review.id, peer=review.worker_host, reason=error)
            await self._wait_for_link(review.worker_host)
        else:
            await self._change(review, lambda now: core.told(now, number))

    async def _change(self, review: Review, step: Callable[[Review], Review]) -> Review:
        changed = await self._database.write(store.change, review.id, step)
        self._wake()
        return changed

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _keep(self, review: Review, path: Path) -> tuple[str, int]:
        """Keep a diff of a review; return its SHA-256, in hex, and its size. Raises BadFile."""

        def keep() -> tuple[str, int]:
            try:
                if path.stat().st_size > LARGEST_DIFF:
                    raise BadFile(path=path, reason=f"a diff has {LARGEST_DIFF:,} bytes at most")
                data = path.read_bytes()
                digest = sha256(data).hexdigest()
                diff = self._diff(review, digest)
                for folder in (self._folder, diff.parent):
                    make_private_folder(folder)
                replace(diff, data)
            except OSError as error:
                raise BadFile(path=path, reason=error.strerror or error) from error
            return digest, len(data)

        return await asyncio.to_thread(keep)

    def _diff(self, review: Review, digest: str) -> Path:
        return self._folder / review.id / f"review-{review.id[-8:]}-{digest[:8]}.diff"


def _brief_of(ask: Ask) -> str:
    return f"brief of {ask.job}"


async def _within(seconds: float, *events: asyncio.Event) -> None:
    """Wait for any of some events, so many seconds at most."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
