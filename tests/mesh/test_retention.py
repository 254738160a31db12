"""What ended long ago goes, whole, and nothing else."""

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from agentmesh.agent.jobs import Jobs
from agentmesh.agent.mirrors import Mirrors
from agentmesh.agent.retention import DAY, Retention
from agentmesh.agent.tasks import Tasks
from agentmesh.config import Paths
from agentmesh.core.address import Address
from agentmesh.core.event import Event, EventType
from agentmesh.core.job import Job
from agentmesh.core.review import Ask, Review, Reviewer, ReviewState, Round, Verdict
from agentmesh.store import mirror, reports, retention, reviews
from agentmesh.store.database import open_database
from tests.core.examples import a_job

if TYPE_CHECKING:
    from agentmesh.agent.replication import Replica

ONE = Reviewer(Address("hub-dev-one"), "hub")


def a_review(job: Job, now: int, **changes: object) -> Review:
    """Return a review in whose first round a job was for the one reviewer."""
    ask = Ask(reviewer=ONE, job=job.id, is_sent=True, verdict=Verdict.PASS, received=now)
    review = Review(
        id="hub-aaaaaaaaaaaaaaaa",
        submitter="hub-dev-lead",
        worker=Address("hub-dev-worker"),
        worker_host="hub",
        reviewers=(ONE,),
        diff="change.diff",
        folder="/",
        brief="",
        most_rounds=3,
        rounds=(Round(number=1, sha256="a" * 64, size=1, began=now, asks=(ask,)),),
    )
    return msgspec.structs.replace(review, **changes)


async def test_jobs_and_reviews_go_whole_when_they_have_been_over_for_long_enough(tmp_path: Path) -> None:
    paths, now = Paths(tmp_path), int(time.time())
    async with open_database(paths.database) as database, Tasks() as tasks:
        jobs = Jobs("hub", paths.jobs, database, cast("Replica", None))
        mirrors = Mirrors("hub", paths, database, jobs, tasks)
        after = {days: Retention(days, paths.reviews, database, jobs.records, mirrors).forget for days in (0, 90)}

        async def left() -> set[str]:
            folders = {folder.name for folder in paths.jobs.iterdir()}
            assert folders == {job.id for job in await jobs.listed(ended=True)}
            return folders

        ended, reviewed, goes_on, last = [
            await jobs.register(a_job(created=now), is_signed=True, awaits_brief=True) for _ in range(4)
        ]
        for job in (ended, reviewed, last):
            await jobs.report(job.id, "hub-dev-one", EventType.COMPLETED, {})
        await database.write(mirror.withhold, "broker", ended.id, 1)
        await database.write(reports.store, "far-0000000000000000", "me", EventType.STARTED, "{}", "", now * 1_000_000)
        end = Event(job=ended.id, seq=1, type=EventType.COMPLETED, time=0, sender="me")
        await database.write(mirror.retain, "broker", end, now)
        review = a_review(reviewed, now, state=ReviewState.REVISING)
        await database.write(reviews.add, review)
        (paths.reviews / review.id).mkdir(parents=True)
        (paths.reviews / review.id / "review.diff").touch()

        every = {ended.id, reviewed.id, goes_on.id, last.id}
        await after[0](now + 1000 * DAY)
        await after[90](now + 89 * DAY)
        assert await left() == every
        await after[90](now + 91 * DAY)
        assert await left() == every - {ended.id}
        assert await database.write(_count, "events", last.id)  # mirrors go by the newest event's number

        await database.write(reviews.change, review.id, lambda found: msgspec.structs.replace(found, state="passed"))
        await after[90](now + 91 * DAY)
        assert await left() == {goes_on.id, last.id}
        assert not await database.write(reviews.listed)
        assert not (paths.reviews / review.id).exists()

        def rows(connection: sqlite3.Connection) -> dict[str, int]:
            of_a_job = [ended.id, reviewed.id]
            tables = ("jobs", *retention.OF_A_JOB)
            return {table: sum(_count(connection, table, job) for job in of_a_job) for table in tables}

        assert set((await database.write(rows)).values()) == {0}
        elsewhere = "far-0000000000000000"
        (told,) = await database.write(reports.next_of_each, "far", 9)
        await database.write(reports.settle, "far", elsewhere, "me", told.seq)
        assert await database.write(_count, "seqs", elsewhere)
        await after[90](now + 91 * DAY)
        assert not await database.write(_count, "seqs", elsewhere)
        assert not await database.write(mirror.retained, "broker")  # no mirror takes it back any more


def _count(connection: sqlite3.Connection, table: str, job: str) -> int:
    column = "id" if table == "jobs" else "job"
    (count,) = connection.execute(f"SELECT count(*) FROM {table} WHERE {column} = ?", (job,)).fetchone()  # noqa: S608 (our own names)
    return int(count)
