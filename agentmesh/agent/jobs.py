"""The jobs whose home is this host: what is reported of them, from anywhere, is accepted or dropped here."""

import asyncio
import secrets
import time
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import msgspec

from agentmesh.agent.job_brokers import keep_broker, kept_broker
from agentmesh.agent.log import log
from agentmesh.agent.records import Records
from agentmesh.agent.replication import Replica
from agentmesh.core.broker import Settings
from agentmesh.core.chain import Entry
from agentmesh.core.event import Event, EventType
from agentmesh.core.job import Job, JobState, is_end
from agentmesh.core.model import HERE, Origin, Receipt
from agentmesh.core.registry import Registry
from agentmesh.core.registry import entries as panes
from agentmesh.errors import BadEvent, StoreFailed
from agentmesh.store import jobs
from agentmesh.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_SECONDS = 1.0
"""How often it is looked for jobs whose time is over, for workers that are gone, and for briefs that reached nobody."""
ENTRIES_TOGETHER = 100
BROKEN_OFF = "its brief may not have been sent: the agent ended meanwhile"


class Jobs:
    """Keeps each job in the database, and beside it, as files, for people and for those who audit."""

    def __init__(self, alias: str, folder: Path, database: Database, replica: Replica) -> None:
        self.alias = alias
        self.records = Records(folder, database)
        self._folder = folder
        self._database = database
        self._replica = replica
        self._open: dict[str, Job] = {}
        """Those that have not ended, without their briefs: they are looked at all the time."""
        self._news: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        """What those wait for who watch a job."""
        self.listeners: list[Callable[[str], None]] = []
        """Told of which job an event was accepted, as soon as that is durable."""

    def new_id(self) -> str:
        """Return an id that no job has."""
        return f"{self.alias}-{secrets.token_hex(8)}"

    async def register(
        self,
        draft: Job,
        *,
        is_signed: bool,
        identifier: str = "",
        awaits_brief: bool = False,
        broker: Settings | None = None,
    ) -> Job:
        """Store a new job, under an id of its own, if none was chosen; its brief may be sent next, by `note_briefs`.

        ``broker``: that its events are mirrored to.
        """
        job = msgspec.structs.replace(draft, id=identifier or self.new_id(), is_signed=is_signed)
        token = secrets.token_hex(32) if is_signed else ""
        body = msgspec.json.encode({"title": job.title, "to": job.to}).decode()
        if broker:
            await asyncio.to_thread(keep_broker, self._folder / job.id, broker)
        await self._database.write(jobs.register, job, token, body, _now_us(), awaits_brief=awaits_brief)
        await self._take_up(job)
        return job

    async def accept(self, event: Event, origin: Origin) -> Job:
        """Take up an event from elsewhere; when this returns it is durable. Raises BadEvent, which is noted."""
        now = int(time.time())
        taken = await self._database.write(jobs.take, event, origin, now)
        return await self._taken(taken, event.job, event.sender, origin)

    async def report(self, job: str, sender: str, kind: EventType, content: object) -> Job:
        """Make an event of this host, and take it up. Raises BadEvent, which is noted."""
        body = msgspec.json.encode(content).decode()
        taken = await self._database.write(jobs.report, job, sender, kind, body, _now_us())
        return await self._taken(taken, job, sender, HERE)

    async def broker_of(self, identifier: str) -> Settings | None:
        """Return the job's own MQTT broker, if it has one. Raises BadConfiguration."""
        return await asyncio.to_thread(kept_broker, self._folder / identifier)

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
        return await self._database.write(jobs.last, identifier)

    async def watch(self, identifier: str, beyond: int, patience: float) -> tuple[Job, list[Entry]] | None:
        """Return a job and its events beyond so many; where there are none yet, wait for one so many seconds."""
        deadline = time.monotonic() + patience
        while True:
            news = self._news.setdefault(identifier, asyncio.Event())
            found = await self.find(identifier)
            if found is None:
                return None
            entries = await self._database.write(jobs.entries, identifier, beyond, ENTRIES_TOGETHER)
            left = deadline - time.monotonic()
            if entries or is_end(found[0].state) or left <= 0:
                return found[0], entries
            try:
                async with asyncio.timeout(left):
                    await news.wait()
            except TimeoutError:
                pass

    async def cancel(self, job: Job, reason: str) -> Job:
        """End a job that has not ended. Raises BadEvent."""
        return await self.report(job.id, self.alias, EventType.CANCELLED, {"message": reason})

    async def note_briefs(self, job: Job, receipts: list[Receipt]) -> None:
        """Note how a job's brief was sent, and say it at once when it has reached nobody."""
        await self._database.write(jobs.note_briefs, job.id, receipts)
        await self._say_untold()

    async def briefs(self, identifier: str) -> list[Receipt]:
        """Return how far a job's brief got with each of those that it is for."""
        return await self._database.write(jobs.briefs, identifier)

    async def recover(self) -> None:
        """Take up what an earlier run has left; ``records.recover`` brings its files up to it."""
        for job in await self.listed():
            self._keep(job)
        for identifier in await self._database.write(jobs.unsent):
            await self.say_lost(self._open[identifier], BROKEN_OFF)
            await self._database.write(jobs.note_briefs, identifier, [])

    async def keep_watching(self) -> None:
        """End jobs whose time is over; notice workers that are gone, and briefs that have reached nobody."""
        while True:
            known = _Known(self._replica.registry, self._replica.members)
            try:
                for job in list(self._open.values()):
                    await self._look_after(job, known)
                if any(job.state is JobState.REGISTERED and not job.lost for job in self._open.values()):
                    await self._say_untold()
            except StoreFailed as error:
                log.error("jobs can't be looked after", reason=error)
            await asyncio.sleep(LOOK_SECONDS)

    async def say_lost(self, job: Job, reason: str) -> None:
        """Say that nobody works on a job, and why."""
        await self._say(job, EventType.LOST, reason)

    async def _look_after(self, job: Job, known: "_Known") -> None:
        if job.expires and job.expires <= time.time():
            await self._say(job, EventType.EXPIRED, "its time is over")
        elif job.worker and not job.lost and (reason := known.loss(job.worker)):
            await self.say_lost(job, reason)

    async def _say(self, job: Job, kind: EventType, reason: str) -> None:
        try:
            await self.report(job.id, self.alias, kind, {"message": reason})
        except BadEvent as error:
            log.info("event not made", job=job.id, reason=error)  # it has just ended

    async def _say_untold(self) -> None:
        """Say of which jobs the brief has reached nobody."""
        for identifier, receipts in (await self._database.write(jobs.untold)).items():
            job = self._open.get(identifier)
            if job is not None and not job.lost:
                told = "; ".join(f"{receipt.to}: {receipt.state}. {receipt.detail}".strip() for receipt in receipts)
                await self.say_lost(job, f"its brief has reached nobody: {told}")

    async def _taken(self, taken: Job | jobs.Refusal, identifier: str, sender: str, origin: Origin) -> Job:
        if isinstance(taken, jobs.Refusal):
            if taken.is_noted:
                log.warning("event dropped", job=identifier, emitter=sender, peer=origin.host, reason=taken.reason)
            raise BadEvent(reason=taken.reason)
        await self._take_up(taken)
        return taken

    async def _take_up(self, job: Job) -> None:
        """Tell of a change that is durable, and bring the files up to it."""
        self._keep(job)
        if news := self._news.pop(job.id, None):
            news.set()
        for tell in self.listeners:
            tell(job.id)
        await self.records.show(job.id)

    def _keep(self, job: Job) -> None:
        if is_end(job.state):
            self._open.pop(job.id, None)
        else:
            self._open[job.id] = msgspec.structs.replace(job, brief="")


class _Known:
    """The panes that are known at a moment, looked up only if somebody asks."""

    def __init__(self, registry: Registry, members: AbstractSet[str]) -> None:
        self._registry = registry
        self._members = members
        self._addresses: set[str] | None = None

    def loss(self, worker: str) -> str:
        """Return why the worker of a job is held for gone; empty while its pane is there, or it never had one."""
        if self._addresses is None:
            known = panes(self._registry)
            self._addresses = {str(name) for pane in known for name in (pane.address, *pane.formerly)}
        if worker in self._addresses:
            return ""
        rests = [worker.removeprefix(f"{host}-") for host in self._members if worker.startswith(f"{host}-")]
        # A worker in no pane has a name of its own choice, which seldom looks like a whole address.
        return f"the pane {worker} is gone" if any("-" in rest for rest in rests) else ""


def _now_us() -> int:
    return int(time.time() * 1_000_000)
