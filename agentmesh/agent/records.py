"""The files of jobs, for people and for those who audit: `job.json`, `events.ndjson` and `token`, in a folder each."""

import asyncio
import shutil
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from agentmesh.adapters import ledger
from agentmesh.adapters.files import make_private_folder, replace
from agentmesh.agent.log import log
from agentmesh.core.chain import NONE_BEFORE, BadLine, Entry, chained, verified
from agentmesh.core.job import Job, is_end
from agentmesh.errors import BrokenChain
from agentmesh.store import jobs, retention
from agentmesh.store.database import Database


class _Turn:
    """The writing of one job's files: one at a time."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.begun = 0


class _Numbered(msgspec.Struct, frozen=True):
    """What has to be known of a record's last line."""

    number: int


class Records:
    """Brings files up to the database, which alone says what is true. What can't be written now is, later."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder = folder
        self._database = database
        self._is_whole = asyncio.Event()
        """Set when nothing that an earlier run has left is missing."""
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    async def show(self, identifier: str) -> None:
        """Write what a job's files lack. All who ask while that is done share the next time."""
        turn = self._turns.setdefault(identifier, _Turn())
        wanted = turn.begun + 1
        async with turn.lock:
            if turn.begun < wanted:
                turn.begun += 1
                await self._show(identifier)

    async def remove(self, identifier: str) -> None:
        """Remove a job, first its files, then what the database has. Raises OSError."""
        turn = self._turns.setdefault(identifier, _Turn())
        async with turn.lock:
            with suppress(FileNotFoundError):
                await asyncio.to_thread(shutil.rmtree, self._folder / identifier)
            await self._database.write(retention.forget_job, identifier)

    async def recover(self) -> None:
        """Write what a crash kept from the files."""
        try:
            for identifier in await self._database.write(jobs.unshown):
                await self.show(identifier)
        finally:
            self._is_whole.set()

    async def verify(self, job: Job, token: str) -> int:
        """See that a job's record is as it was written; return how many events it has. Raises BrokenChain."""
        await self._is_whole.wait()
        path = self._folder / job.id / "events.ndjson"
        accepted = await self._database.write(jobs.entries, job.id)
        try:
            entries = verified(await asyncio.to_thread(ledger.read, path), token if job.is_signed else "")
        except BadLine as error:
            raise BrokenChain(path=path, line=error.number, reason=error.reason) from error
        for number, (written, entry) in enumerate(zip_longest(entries, accepted), 1):
            if written is None or msgspec.structs.replace(written, previous=NONE_BEFORE) != entry:
                reason = f"{len(accepted)} events were accepted, and not this one"
                raise BrokenChain(path=path, line=number, reason=reason)
        return len(entries)

    async def _show(self, identifier: str) -> None:
        found = await self._database.write(jobs.find, identifier)
        if found is None:
            return
        job, token = found
        folder = self._folder / identifier
        loop = asyncio.get_running_loop()

        def following(last: bytes) -> list[bytes]:
            count = msgspec.json.decode(last, type=_Numbered).number if last else 0
            news: asyncio.Future[list[Entry]] = asyncio.run_coroutine_threadsafe(  # type: ignore[assignment]
                self._database.write(jobs.entries, identifier, count), loop
            )
            return chained(news.result(), last)

        def write() -> None:
            for each in (self._folder, folder):
                make_private_folder(each)
            replace(folder / "token", f"{token}\n".encode())
            ledger.append(folder / "events.ndjson", following)
            replace(folder / "job.json", msgspec.json.format(msgspec.json.encode(job)) + b"\n")

        try:
            await asyncio.to_thread(write)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.error("a job's files can't be written", job=identifier, reason=error)
        else:
            if is_end(job.state):
                await self._database.write(jobs.note_shown, identifier)
