"""The jobs whose home is this host: what is reported of them, from anywhere, is accepted or dropped here."""

import asyncio
import secrets
import time
from itertools import zip_longest
from pathlib import Path

import msgspec

from agentmesh.adapters import ledger
from agentmesh.adapters.files import make_private_folder, replace
from agentmesh.agent.log import log
from agentmesh.agent.replication import Replica
from agentmesh.core.chain import BadLine, Entry, chained, verified
from agentmesh.core.event import Event, EventType, signed
from agentmesh.core.job import Job, is_end
from agentmesh.core.model import HERE, Origin
from agentmesh.core.registry import entries as panes
from agentmesh.errors import BadEvent, BrokenChain
from agentmesh.store import jobs
from agentmesh.store.database import Database

EXPIRY_SECONDS = 1.0
"""How often it is looked for jobs whose time is over, and for workers that are gone."""
ENTRIES_TOGETHER = 100


class Jobs:
    """Keeps each job in the database, and beside it, as files, for people and for those who audit."""

    def __init__(self, alias: str, folder: Path, database: Database, replica: Replica) -> None:
        self.alias = alias
        self._folder = folder
        self._database = database
        self._replica = replica
        self._changed = asyncio.Event()

    def new_id(self) -> str:
        """Return an id that no job has."""
        return f"{self.alias}-{secrets.token_hex(8)}"

    @property
    def changed(self) -> asyncio.Event:
        """Set as soon as anything happens to any job from now on."""
        return self._changed

    async def register(self, draft: Job, *, is_signed: bool, identifier: str = "") -> Job:
        """Store a new job, under an id of its own, if none was chosen."""
        job = msgspec.structs.replace(draft, id=identifier or self.new_id(), is_signed=is_signed)
        token = secrets.token_hex(32) if is_signed else ""
        event = await self._own_event(job, EventType.REGISTERED, token, title=job.title, to=job.to)
        await self._database.write(jobs.register, job, token, event)
        await self._show(job)
        return job

    async def accept(self, event: Event, origin: Origin) -> Job:
        """Take up an event; when this returns it is durable. Raises BadEvent, which is noted."""
        now = int(time.time())
        try:
            job = await self._database.write(jobs.accept, event, origin, now)
        except BadEvent as error:
            reason = str(error.facts["reason"])
            log.warning("event dropped", job=event.job, emitter=event.sender, peer=origin.host, reason=reason)
            await self._database.write(jobs.note_dropped, event, origin, reason, now)
            raise
        await self._show(job)
        self._changed.set()
        self._changed = asyncio.Event()
        return job

    async def find(self, identifier: str) -> tuple[Job, str] | None:
        """Return a job of this host, and its token."""
        return await self._database.write(jobs.find, identifier)

    async def listed(self, *, ended: bool = False) -> list[Job]:
        """Return the jobs that have not ended, or all."""
        return await self._database.write(jobs.listed, ended=ended)

    async def dropped(self, identifier: str) -> list[jobs.Dropped]:
        """Return what was not accepted of a job's events."""
        return await self._database.write(jobs.dropped, identifier)

    async def last(self, identifier: str) -> Entry | None:
        """Return what has happened to a job last."""
        return next(reversed(await self._database.write(jobs.entries, identifier)), None)

    async def watch(self, identifier: str, beyond: int, patience: float) -> tuple[Job, list[Entry]] | None:
        """Return a job and its events beyond so many; where there are none yet, wait for one so many seconds."""
        deadline = time.monotonic() + patience
        while True:
            changed = self._changed
            found = await self.find(identifier)
            if found is None:
                return None
            job, _ = found
            news = await self._database.write(jobs.entries, identifier, beyond)
            left = deadline - time.monotonic()
            if news or is_end(job.state) or left <= 0:
                return job, news[:ENTRIES_TOGETHER]
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                pass

    async def cancel(self, job: Job, token: str, reason: str) -> Job:
        """End a job that has not ended. Raises BadEvent."""
        return await self.accept(await self._own_event(job, EventType.CANCELLED, token, message=reason), HERE)

    async def verify(self, job: Job, token: str) -> int:
        """See that a job's record is as it was written; return how many events it has. Raises BrokenChain."""
        path = self._folder / job.id / "events.ndjson"
        accepted = await self._database.write(jobs.entries, job.id)
        try:
            entries = verified(await asyncio.to_thread(ledger.read, path), token if job.is_signed else "")
        except BadLine as error:
            raise BrokenChain(path=path, line=error.number, reason=error.reason) from error
        for number, (written, event) in enumerate(zip_longest(entries, accepted), 1):
            if written is None or event is None or written.event != event.event:
                raise BrokenChain(
                    path=path, line=number, reason=f"{len(accepted)} events were accepted, and not this one"
                )
        return len(entries)

    async def recover(self) -> None:
        """Write what a crash kept from the files."""
        for job in await self.listed(ended=True):
            await self._show(job)

    async def keep_watching(self) -> None:
        """End jobs whose time is over; notice workers that are gone."""
        while True:
            for job in await self.listed():
                try:
                    await self._look_after(job)
                except BadEvent as error:
                    log.info("event not made", job=job.id, reason=error)  # it has just ended otherwise
            await asyncio.sleep(EXPIRY_SECONDS)

    async def _look_after(self, job: Job) -> None:
        found = await self.find(job.id)
        if found is None:
            return
        token = found[1]
        if job.expires and job.expires <= time.time():
            await self.accept(await self._own_event(job, EventType.EXPIRED, token, message="its time is over"), HERE)
        elif job.worker and not job.lost and (reason := self._loss(job.worker)):
            await self.accept(await self._own_event(job, EventType.LOST, token, message=reason), HERE)

    def _loss(self, worker: str) -> str:
        """Return why the worker of a job is held for gone; empty while its pane is there, or it never had one."""
        known = panes(self._replica.registry)
        if any(worker == pane.address or worker in pane.formerly for pane in known):
            return ""
        rests = [worker.removeprefix(f"{host}-") for host in self._replica.members if worker.startswith(f"{host}-")]
        # A worker in no pane has a name of its own choice, which seldom looks like a whole address.
        return f"the pane {worker} is gone" if any("-" in rest for rest in rests) else ""

    async def _own_event(self, job: Job, kind: EventType, token: str, **content: object) -> Event:
        now = time.time()
        event = Event(
            job=job.id,
            seq=await self._database.write(jobs.next_seq, job.id, self.alias, int(now * 1_000_000)),
            type=kind,
            time=int(now),
            sender=self.alias,
            body=msgspec.json.encode(content).decode(),
        )
        return signed(event, token)

    async def _show(self, job: Job) -> None:
        """Bring a job's files up to the database.

        What can't be written now is, with the next event, or the next start.
        """
        folder = self._folder / job.id
        loop = asyncio.get_running_loop()
        found = await self.find(job.id)
        token = found[1] if found else ""

        def following(count: int, last: bytes) -> list[bytes]:
            news = self._database.write(jobs.entries, job.id, count)
            return chained(asyncio.run_coroutine_threadsafe(news, loop).result(), last)

        def write() -> None:
            for each in (self._folder, folder):
                make_private_folder(each)
            replace(folder / "token", f"{token}\n".encode())
            ledger.append(folder / "events.ndjson", following)
            replace(folder / "job.json", msgspec.json.format(msgspec.json.encode(job)) + b"\n")

        try:
            await asyncio.to_thread(write)
        except OSError as error:
            log.error("a job's files can't be written", job=job.id, reason=error)
