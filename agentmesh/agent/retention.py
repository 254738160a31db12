"""What ended long ago is removed: messages; reviews with their diffs, and jobs with their records."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from agentmesh.agent.log import log
from agentmesh.agent.mirrors import Mirrors
from agentmesh.agent.records import Records
from agentmesh.core.model import UnixTime
from agentmesh.errors import StoreFailed
from agentmesh.store import retention
from agentmesh.store.database import Database

DAY = 24 * 3600
KEEP_MESSAGES = 30 * DAY
"""How long a message is kept after its end, in seconds."""
LOOK_SECONDS = DAY / 4


class Retention:
    """Removes what is over for longer than it is to be kept."""

    def __init__(self, keep_days: int, reviews: Path, database: Database, records: Records, mirrors: Mirrors) -> None:
        self._keep_jobs = keep_days * DAY
        self._reviews = reviews
        self._database = database
        self._records = records
        self._mirrors = mirrors

    async def keep_forgetting(self) -> None:
        """Remove it again and again."""
        while True:
            try:
                await self.forget(int(time.time()))
            except StoreFailed as error:
                log.error("what ended long ago can't be removed", reason=error)
            await asyncio.sleep(LOOK_SECONDS)

    async def forget(self, now: UnixTime) -> None:
        """Remove what is kept for long enough. Raises StoreFailed."""
        await self._database.write(retention.forget_messages, now - KEEP_MESSAGES)
        if not self._keep_jobs:
            return
        before = now - self._keep_jobs
        for review in await self._database.write(retention.old_reviews, before):
            await self._remove("review", review, self._remove_review)
        for job in await self._database.write(retention.old_jobs, before):
            await self._remove("job", job, self._records.remove)
            self._mirrors.forget(job)
        await self._database.write(retention.forget_traces, before, self._mirrors.brokers)

    async def _remove_review(self, identifier: str) -> None:
        # The files go first: what a crash leaves of them is found again by the row.
        with suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, self._reviews / identifier)
        await self._database.write(retention.forget_review, identifier)

    async def _remove(self, kind: str, identifier: str, remove: Callable[[str], Awaitable[None]]) -> None:
        try:
            await remove(identifier)
        except OSError as error:
            log.warning(f"an old {kind} can't be removed", id=identifier, reason=error)
        else:
            log.info(f"an old {kind} is removed", id=identifier)
