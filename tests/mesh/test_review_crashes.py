"""A review whose agent dies at each of its transactions, just before or after it: nobody is asked twice, none lost."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

import msgspec
import pytest

from agentmesh.agent.handover import Handover, Note
from agentmesh.agent.jobs import Jobs
from agentmesh.agent.reviews import Reviews
from agentmesh.agent.tasks import Tasks
from agentmesh.core.address import Address
from agentmesh.core.event import Event, EventType, signed
from agentmesh.core.job import is_end
from agentmesh.core.model import HERE
from agentmesh.core.review import Review, Reviewer, ReviewState, awaited
from agentmesh.store.database import Database, open_database

if TYPE_CHECKING:
    from agentmesh.agent.replication import Replica

P = ParamSpec("P")
R = TypeVar("R")

REVIEWERS = (Reviewer(Address("hub-dev-one"), "hub"), Reviewer(Address("hub-dev-two"), "hub"))
DRAFT = Review(
    id="hub-0000000000000000",
    submitter="hub-dev-lead",
    worker=Address("hub-dev-worker"),
    worker_host="hub",
    reviewers=REVIEWERS,
    diff="change.diff",
    folder="/",
    brief="",
    most_rounds=3,
)


class Died(BaseException):
    """Ends everything, as SIGKILL does."""


class Mortal(Database):
    """Dies at one of its transactions, counted from 1; with 0 at none."""

    def __init__(self, real: Database, number: int, *, after: bool) -> None:
        self._real = real
        self._left = number
        self._after = after
        self._is_dead = False

    async def write(
        self, change: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        self._left -= 1
        dies = self._left == 0
        if self._is_dead or (dies and not self._after):
            self._is_dead = True
            raise Died
        result = await self._real.write(change, *args, **kwargs)
        if dies:
            self._is_dead = True
            raise Died
        return result


class Post:
    """What has been sent, by the ids by which a real one knows what it sent before."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}

    async def send(self, note: Note) -> None:
        assert self.notes.setdefault(note.id, note) == note

    async def receipt(self, _: str) -> None:
        return None


async def live(folder: Path, post: Post, number: int, *, after: bool) -> Review:
    """Run an agent's part until the review is passed: not passed at first, mended, submitted again."""
    diff = folder / "change.diff"
    async with open_database(folder / "mesh.db") as real, Tasks() as tasks:
        database = Mortal(real, number, after=after)
        jobs = Jobs("hub", folder / "jobs", database, cast("Replica", None))
        reviews = Reviews(folder / "reviews", database, jobs, cast("Handover", post), asyncio.sleep, tasks)  # type: ignore[arg-type]
        tasks.start("take reviews on", reviews.keep_going())
        while True:
            known = await reviews.listed()
            review = known[-1] if known else await reviews.start(DRAFT, diff)
            if review.state is ReviewState.PASSED:
                return review
            for ask in awaited(review):
                found = await jobs.find(ask.job)
                if ask.is_sent and found and not is_end(found[0].state):
                    said = "not-pass" if len(review.rounds) == 1 else "pass"
                    body = msgspec.json.encode({"pane": [ask.reviewer.address], "verdict": said}).decode()
                    event = Event(
                        job=ask.job,
                        seq=time.time_ns() // 1000,
                        type=EventType.COMPLETED,
                        time=0,
                        sender=ask.reviewer.address,
                        body=body,
                    )
                    await jobs.accept(signed(event, found[1]), HERE)
            if review.state is ReviewState.REVISING and review.present.is_told:
                diff.write_text("+mended\n")
                await reviews.update(review, diff, review.diff, review.folder)
                continue
            await reviews.watch(review.id, review.revision, 0.2)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_it_goes_on_where_it_died(tmp_path: Path, *, after: bool) -> None:
    number, died = 0, True
    while died:
        number += 1
        folder, post, died = tmp_path / str(number), Post(), False
        folder.mkdir()
        (folder / "change.diff").write_text("+flaw\n")
        try:
            await live(folder, post, number, after=after)
        except (Died, BaseExceptionGroup):
            died = True
        review = await live(folder, post, 0, after=after)
        asked = [ask.job for each in review.rounds for ask in each.asks]
        assert (len(review.rounds), len(set(asked))) == (2, 4), number
        assert sorted(path.name for path in (folder / "jobs").iterdir()) == sorted(asked), number
        briefs = [note for note in post.notes.values() if "Claim it" in note.text]
        assert len(briefs) == 4, number
        assert sum("NOT PASS" in note.text for note in post.notes.values()) == 1, number
        assert len(post.notes) == 5, number
    assert number > 30
