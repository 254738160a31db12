"""What this host's commands ask about reviews."""

from pathlib import Path

import msgspec

from agentmesh.adapters.ipc import Request
from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.directory import Caller, Directory
from agentmesh.agent.errands import Errands
from agentmesh.agent.reviews import Reviews
from agentmesh.core.address import Name, PaneId, parse_selectors
from agentmesh.core.errand import Step
from agentmesh.core.event import LONGEST_BODY, EventType, home_of, is_job_id
from agentmesh.core.model import Pane
from agentmesh.core.registry import tmux_pane
from agentmesh.core.review import Review, Reviewer
from agentmesh.core.review_request import Look, Opinion, Proposal, Update
from agentmesh.core.text import printable, without_controls
from agentmesh.errors import ForeignJob, UnknownReview, UsageError

PROGRAM = "agentmesh review"
_ROOM = 8 * 1024
"""Bytes of an event's body that are not for the feedback."""


class ReviewDesk:
    """Finds out who is meant; the rest is for the reviews themselves."""

    def __init__(self, alias: str, reviews: Reviews, directory: Directory, errands: Errands) -> None:
        self._alias = alias
        self._reviews = reviews
        self._directory = directory
        self._errands = errands

    async def run(self, request: Request, answer: Answer) -> int:
        """Do what the words after ``review`` ask; returns the exit code. Raises AgentmeshError."""
        match request.words[1:]:
            case ["start", text]:
                await self._start(msgspec.json.decode(text, type=Proposal), request, answer)
            case ["update", text]:
                wanted = msgspec.json.decode(text, type=Update)
                review = await self._find(wanted.review)
                review = await self._reviews.update(review, Path(wanted.content), wanted.diff, wanted.folder)
                await answer.write_output(as_json(review))
            case ["verdict", text]:
                return await self._give(msgspec.json.decode(text, type=Opinion), request, answer)
            case ["look", text]:
                look = msgspec.json.decode(text, type=Look)
                identifier = (await self._find(look.review)).id
                await answer.write_output(as_json(await self._reviews.watch(identifier, look.beyond, look.patience)))
            case ["show", ending]:
                await answer.write_output(as_json(await self._shown(ending)))
            case ["list"]:
                await answer.write_output(as_json(await self._reviews.listed()))
            case ["cancel", identifier]:
                await answer.write_output(as_json(await self._reviews.cancel(await self._find(identifier))))
            case _:
                raise UsageError(reason="This agent doesn't know that command; is it older?", program=PROGRAM)
        return 0

    async def _start(self, wanted: Proposal, request: Request, answer: Answer) -> None:
        caller = await self._directory.caller(request)
        workers = [match.pane for match in await self._directory.find(wanted.worker, caller)]
        if len(workers) != 1:
            raise UsageError(reason=f"{wanted.worker} means {len(workers)} panes; one is the worker.", program=PROGRAM)
        (worker,) = workers
        reviewers, is_left_out = await self._reviewers(wanted.reviewers, worker, caller)
        draft = Review(
            id=f"{self._alias}-{'0' * 16}",
            submitter=caller.name,
            worker=worker.address,
            worker_host=worker.host,
            reviewers=tuple(Reviewer(pane.address, pane.host) for pane in reviewers),
            diff=wanted.diff,
            folder=str(request.folder),
            brief=without_controls(wanted.brief).strip(),
            most_rounds=wanted.rounds,
        )
        review = await self._reviews.start(draft, Path(wanted.content))
        if is_left_out:
            await answer.write_error(f"review: {worker.address} is left out of the reviewers: it is the worker.\n")
        await answer.write_output(f"{review.id}\n")

    async def _reviewers(self, text: str, worker: Pane, caller: Caller) -> tuple[list[Pane], bool]:
        """Return the panes that are meant, each once, and whether the worker was among a group of them."""
        found: dict[tuple[str, str, str], Pane] = {}
        is_left_out = False
        for part in filter(None, map(str.strip, text.split(","))):
            (selector,) = parse_selectors(part)
            for match in await self._directory.find(part, caller):
                if tmux_pane(match.pane) != tmux_pane(worker):
                    found.setdefault(tmux_pane(match.pane), match.pane)
                elif isinstance(selector, Name | PaneId):
                    raise UsageError(reason=f"{worker.address} is the worker and can't review.", program=PROGRAM)
                else:
                    is_left_out = True
        if not found:
            raise UsageError(reason=f"{text or 'Nobody'!r} leaves no reviewers.", program=PROGRAM)
        return list(found.values()), is_left_out

    async def _give(self, opinion: Opinion, request: Request, answer: Answer) -> int:
        """Report a verdict: as what completes the review job, so that it is signed and brought home like any report."""
        caller = await self._directory.caller(request)
        first = printable(opinion.feedback[:200])
        body = {
            "message": f"{opinion.verdict}: {first}" if first else str(opinion.verdict),
            "verdict": opinion.verdict,
            "feedback": opinion.feedback,
        }
        if len(msgspec.json.encode(body)) > LONGEST_BODY - _ROOM:
            reason = f"The feedback is longer than {LONGEST_BODY - _ROOM:,} bytes; send the worker a file of it."
            raise UsageError(reason=reason, program=PROGRAM)
        job = await self._job_of(opinion.of, caller)
        step = Step(job=job, type=EventType.COMPLETED, content=body)
        words = ["job", "report", msgspec.json.encode(step).decode()]
        return await self._errands.run(msgspec.structs.replace(request, words=words), answer)

    async def _job_of(self, identifier: str, caller: Caller) -> str:
        """Return the caller's job in the present round, where a review of this host is named; else what is named."""
        found = [review for review in await self._reviews.listed() if review.id.endswith(identifier)]
        if len(found) != 1:
            return identifier
        own = self._directory.addresses_of(caller.pane) if caller.pane else []
        jobs = [ask.job for ask in found[0].present.asks if ask.reviewer.address in own]
        if not jobs:
            reason = f"{caller.name} is none of those that review {found[0].id} in its present round."
            raise UsageError(reason=reason, program=PROGRAM)
        return jobs[0]

    async def _shown(self, ending: str) -> Review:
        """Return a review of this host, or one of another that this host has a part in."""
        try:
            return await self._find(ending)
        except ForeignJob:
            return await self._errands.review(ending)

    async def _find(self, ending: str) -> Review:
        """Return the review of this host whose id ends so. Raises ForeignJob, UnknownReview."""
        found = [review for review in await self._reviews.listed() if review.id.endswith(ending)]
        exact = [review for review in found if review.id == ending]
        if not found and is_job_id(ending) and home_of(ending) != self._alias:
            raise ForeignJob(id=ending, home=home_of(ending))
        if len(exact or found) != 1:
            count = f"{len(found)} do" if found else "none does"
            raise UnknownReview(which=f"has an id that ends with {ending}", found=count)
        return (exact or found)[0]
