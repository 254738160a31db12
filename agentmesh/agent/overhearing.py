"""Hear over MQTT what is said of a job of another host while that can't be reached. Believes only who has its token."""

import asyncio
import secrets
from contextlib import suppress

from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.log import log
from agentmesh.agent.mirrors import Mirrors
from agentmesh.agent.reports import Reports
from agentmesh.agent.tasks import first_of
from agentmesh.core.broker import Broker
from agentmesh.core.errand import Overheard
from agentmesh.core.event import Event, decode, home_of
from agentmesh.core.follower import Follower, exit_code
from agentmesh.errors import BadEvent, BrokerFailed, NoBroker, NotOverheard, Unreachable

SEEK_SECONDS = 15.0
"""How often the home is asked meanwhile though no link to it has come up: it may be none that links are kept to."""
PAUSE_SECONDS = 1.0
"""How long it is left alone when it could not be reached though there seemed to be a way."""


class Overhearing:
    """Listens at the host's own broker, with a connection of its own for each who asks."""

    def __init__(self, alias: str, reports: Reports, mirrors: Mirrors) -> None:
        self._alias = alias
        self._reports = reports
        self._mirrors = mirrors

    async def overhear(self, job: str, answer: Answer) -> None:
        """Write what is heard of a job, a line of JSON each, until its end is, its home can be reached, or nobody asks.

        The first line tells that it is listened; what the broker retains comes next. Raises NoBroker, NotOverheard,
        BrokerFailed.
        """
        broker = self._mirrors.host_broker
        if broker is None:
            raise NoBroker
        follower = Follower(job, await self._token(job))
        await first_of(self._hear(job, broker, follower, answer), self._until_reached(job), answer.gone())

    async def end(self, text: str) -> Event:
        """Return the event that ends a job, from its JSON. Raises NotOverheard, and BadEvent unless it is genuine."""
        event = decode(text)
        Follower(event.job, await self._token(event.job)).take(text.encode())
        if exit_code(event) is None:
            raise BadEvent(reason=f"{event.type} is no end")
        return event

    async def _token(self, job: str) -> str:
        token = await self._reports.known_token(job)
        if token is None:
            raise NotOverheard(job=job, reason="this host knows no token of it, and could believe nobody")
        if not token:
            raise NotOverheard(job=job, reason="they aren't signed, so they may be anybody's")
        return token

    async def _hear(self, job: str, broker: Broker, follower: Follower, answer: Answer) -> None:
        from agentmesh.adapters import mqtt  # noqa: PLC0415 (it costs memory, and few have a broker)

        client = f"{broker.settings.client_id_prefix}{self._alias}-{secrets.token_hex(6)}"
        async with mqtt.connected(broker, client) as connection:
            await connection.subscribe(broker.topic_of(job))
            await answer.write_output(as_json(Overheard(broker=broker.place)))
            async for heard in connection.heard():
                try:
                    event = follower.take(heard.payload) if heard.payload else None
                except BadEvent as error:
                    log.warning("event not believed", job=job, broker=broker.place, reason=error)
                    continue
                if event is None:
                    continue
                await answer.write_output(as_json(Overheard(broker=broker.place, event=event)))
                if exit_code(event) is not None:
                    return
        raise BrokerFailed(broker=broker.place, reason="it has ended the conversation")

    async def _until_reached(self, job: str) -> None:
        """Wait until the home of a job answers."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SEEK_SECONDS):
                    await self._reports.road.wait_for_link(home_of(job))
            try:
                await self._reports.ask(job)
            except Unreachable:
                await asyncio.sleep(PAUSE_SECONDS)
            except BadEvent:  # that is an answer, too
                return
            else:
                return
