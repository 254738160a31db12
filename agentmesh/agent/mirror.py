"""Mirror the events of this host's jobs to an MQTT broker, and take up what is reported there.

A broker that is down, slow or wrong delays its mirror, and nothing else: what it lacks is in the database, from where
this goes on, a hundred events at a time. Where it denies an event, that job is withheld, so that its events stay in
order, and the others go on.
"""

import asyncio
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from agentmesh.agent.jobs import Jobs
from agentmesh.agent.log import log
from agentmesh.core.broker import KEEP_SECONDS, Broker
from agentmesh.core.event import decode, home_of
from agentmesh.core.follower import exit_code
from agentmesh.core.job import is_end
from agentmesh.core.model import Origin
from agentmesh.core.status import Mirroring
from agentmesh.errors import BadEvent, BrokerDenied, BrokerFailed, EventRejected
from agentmesh.store import mirror as store
from agentmesh.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentmesh.adapters.mqtt import Connection, Heard

TOGETHER = 100
"""Events that are read at a time."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two attempts to reach a broker: they double, with jitter."""
STEADY_SECONDS = 30.0
"""After so long a connection counts as good: the next attempt comes soon again."""
LOST_SECONDS = 3600
"""What was retained for no longer than that is given again also to a broker that knows our session: one that was killed
may be as it was saved half an hour before (autosave_interval, mosquitto.conf(5))."""
RETRY_SECONDS = 60.0
"""How often what was denied is tried again; it is on a new connection, too, and when more of the job comes."""
TIDY_SECONDS = 30.0
"""How often it is looked for what was retained long enough."""
RESTORE_SECONDS = 1.0
"""How long it takes at least until what others have retained at a topic of ours is replaced: a flood can't hurry us."""
_DOUBT = "it speaks MQTT 3.1.1, and doesn't send back what we publish: it isn't known whether it takes it"


class Mirror:
    """One broker's mirror."""

    def __init__(
        self,
        alias: str,
        broker: Broker,
        client: str,
        database: Database,
        jobs: Jobs,
        goes_here: "Callable[[str], Awaitable[bool]]",
    ) -> None:
        self.broker = broker
        self._alias = alias
        self._client_id = f"{broker.settings.client_id_prefix}{client}"
        self._database = database
        self._jobs = jobs
        self._goes_here = goes_here
        self._news = asyncio.Event()
        self._is_connected = False
        self._reason = ""
        self._doubt = ""
        """What of the present connection isn't as it should be."""
        self._withheld: set[str] = set()
        """Jobs of which an event was denied: what comes of them waits, too."""
        self._denial = ""
        """What the broker said of it last."""
        self._again: set[str] = set()
        """Those of them to be tried again as soon as nothing else is to be sent."""
        self._spoiled: set[str] = set()
        """Jobs at whose topic something else may be retained than what should be."""
        self._has_spoiled = asyncio.Event()

    def wake(self) -> None:
        """Look for events that the broker lacks."""
        self._news.set()

    async def standing(self) -> Mirroring:
        """Return how it stands with the broker."""
        waiting = await self._database.write(store.count_lacking, self.broker.name)
        said = [self._reason] if self._reason else []
        if self._is_connected and self._withheld:
            said.append(f"{self._denial} Jobs whose events wait for that: {len(self._withheld)}.")
        return Mirroring(self.broker.place, self._is_connected, waiting, " ".join(said), len(self._withheld))

    async def keep_mirroring(self) -> None:
        """Be connected as far as possible."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await self._mirror()
            except* BrokerFailed as group:
                reason = str(group.exceptions[0])
                if reason != self._reason:
                    log.warning("events are not mirrored now", reason=reason)
                self._reason = reason
            self._is_connected = False
            if time.monotonic() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 (so that not all come back at once)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _mirror(self) -> None:
        """Mirror over one connection. Raises BrokerFailed, or a group of them, when it breaks."""
        from agentmesh.adapters import mqtt  # noqa: PLC0415 (it costs memory, and few have a broker)

        async with mqtt.connected(self.broker, self._client_id, session=True) as connection:
            since = int(time.time()) - LOST_SECONDS if connection.had_session else 0
            self._spoil(*await self._database.write(store.retained_since, self.broker.name, since + KEEP_SECONDS))
            self._doubt = ""
            try:
                await connection.subscribe(self.broker.every_topic)
            except BrokerDenied as error:
                self._doubt = str(error)
                log.warning("reports over MQTT are not heard", reason=error)
            log.info("broker is connected", broker=self.broker.place, mqtt=5 if connection.speaks_5 else "3.1.1")
            self._withheld = set(await self._database.write(store.withheld, self.broker.name))
            self._again = set(self._withheld)
            self._is_connected = True
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_sending(connection))
                group.create_task(self._keep_restoring(connection))
                group.create_task(self._keep_tidying(connection))
                group.create_task(self._keep_hearing(connection))

    async def _keep_sending(self, connection: "Connection") -> None:
        round_began = time.monotonic()
        while True:
            self._news.clear()
            if await self._send_next(connection):
                continue
            if time.monotonic() - round_began > RETRY_SECONDS:
                self._again, round_began = set(self._withheld), time.monotonic()
            while self._again:  # after all others, so that what is denied delays none
                await self._send_withheld(connection, self._again.pop())
            if self._doubt and self._doubt != self._reason:
                log.warning("it is doubtful whether events are mirrored", broker=self.broker.place, reason=self._doubt)
            self._reason = self._doubt
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if self._withheld else None):
                    await self._news.wait()

    async def _send_next(self, connection: "Connection") -> bool:
        """Send the next of what the broker lacks; returns whether there was something."""
        batch = await self._database.write(store.lacking, self.broker.name, _oldest(), TOGETHER)
        done = 0
        try:
            for accepted in batch:
                if accepted.event.job in self._withheld:
                    self._again.add(accepted.event.job)
                elif await self._goes_here(accepted.event.job):
                    try:
                        await self._send(connection, accepted)
                    except BrokerDenied as error:
                        await self._withhold(accepted, error)
                done = accepted.number
        finally:
            if done:
                await self._database.write(store.advance, self.broker.name, done)
        return bool(batch)

    async def _withhold(self, accepted: store.Accepted, error: BrokerDenied) -> None:
        """Let the other jobs go on without one whose event was denied."""
        job = accepted.event.job
        await self._database.write(store.withhold, self.broker.name, job, accepted.number)
        self._withheld.add(job)
        self._denial = str(error)
        log.warning("a job's events are withheld from the broker", job=job, reason=error)

    async def _send_withheld(self, connection: "Connection", job: str) -> None:
        """Send what is withheld of a job, as far as the broker takes it now."""
        name = self.broker.name
        while batch := await self._database.write(store.lacking_of, name, job, _oldest(), TOGETHER):
            for accepted in batch:
                try:
                    await self._send(connection, accepted)
                except BrokerDenied as error:
                    self._denial = str(error)
                    return
                await self._database.write(store.withhold, name, job, accepted.number + 1)
        await self._database.write(store.release, name, job)
        self._withheld.discard(job)
        log.info("a job's events are withheld no longer", job=job, broker=self.broker.place)

    async def _send(self, connection: "Connection", accepted: store.Accepted) -> None:
        """Publish an event, unless it came from there. Raises BrokerDenied, BrokerFailed."""
        event, name = accepted.event, self.broker.name
        is_last = exit_code(event) is not None
        if accepted.origin == self._origin and not is_last:
            return
        if is_last:
            await self._database.write(store.retain, name, event, int(time.time()) + KEEP_SECONDS)
        try:
            topic, payload = self.broker.topic_of(event.job), msgspec.json.encode(event)
            is_taken = await connection.publish(topic, payload, keep_seconds=KEEP_SECONDS if is_last else 0)
        except EventRejected as error:
            log.error("event can't be mirrored", job=event.job, seq=event.seq, reason=error)
        else:
            self._doubt = self._doubt or ("" if is_taken else _DOUBT)

    async def _keep_hearing(self, connection: "Connection") -> None:
        async for heard in connection.heard():
            await self._take(heard)
            heard.done()
        raise BrokerFailed(broker=self.broker.place, reason="it has ended the conversation")

    async def _take(self, heard: "Heard") -> None:
        """Take up an event that somebody has published, if it is one."""
        job = self.broker.job_of(heard.topic)
        if not heard.payload or home_of(job) != self._alias:
            return
        try:
            event = decode(heard.payload)
        except BadEvent as error:
            self._drop(job, str(error))
            return
        if event.job != job:
            self._drop(job, f"it is of {event.job}")
        elif await self._database.write(store.is_known, event):
            if exit_code(event) is None:  # played again, it may have taken the place of the end
                self._spoil(job)
        elif not await self._goes_here(job):
            self._drop(job, "the job's events are not mirrored to this broker")
        else:
            try:
                await self._jobs.accept(event, self._origin)
            except BadEvent:  # it is noted, and in the log
                self._spoil(job)

    def _drop(self, job: str, reason: str) -> None:
        log.warning("event dropped", job=job, broker=self.broker.place, reason=reason)
        self._spoil(job)

    @property
    def _origin(self) -> Origin:
        return Origin(host=self.broker.name, identity="mqtt")

    def _spoil(self, *jobs: str) -> None:
        self._spoiled.update(jobs)
        if self._spoiled:
            self._has_spoiled.set()

    async def _keep_restoring(self, connection: "Connection") -> None:
        """Have retained at our jobs' topics what should be: their ends, or nothing."""
        while True:
            await self._has_spoiled.wait()
            await asyncio.sleep(RESTORE_SECONDS)
            self._has_spoiled.clear()
            ends = {event.job: event for event in await self._database.write(store.retained, self.broker.name)}
            while self._spoiled:
                job = next(iter(self._spoiled))
                if job in ends:
                    await self._have_retained(connection, job, msgspec.json.encode(ends[job]))
                elif (found := await self._jobs.find(job)) and not is_end(found[0].state):
                    await self._have_retained(connection, job, b"")
                self._spoiled.discard(job)

    async def _keep_tidying(self, connection: "Connection") -> None:
        """Take back what was retained long enough."""
        while True:
            for job in await self._database.write(store.leftovers, self.broker.name, int(time.time())):
                await self._have_retained(connection, job, b"")
                await self._database.write(store.forget, self.broker.name, job)
            await asyncio.sleep(TIDY_SECONDS)

    async def _have_retained(self, connection: "Connection", job: str, payload: bytes) -> None:
        """Have this retained at a job's topic, or nothing; where the broker doesn't let us, what is there stays."""
        try:
            await connection.publish(self.broker.topic_of(job), payload, keep_seconds=KEEP_SECONDS if payload else 0)
        except (BrokerDenied, EventRejected) as error:
            log.warning("what is retained stays as it is", job=job, reason=error)


def _oldest() -> int:
    """Return when an event must have been accepted for it to be mirrored though its job has ended, Unix seconds."""
    return int(time.time()) - KEEP_SECONDS
