"""Reach a host, whichever way there is: over a link, by dialling it, or through a neighbour that has a link to it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from agentmesh.agent.conversations import Conversations
from agentmesh.agent.dialling import OUR_FAULT, Dialler
from agentmesh.agent.link import greeted
from agentmesh.agent.relay import ask_relay
from agentmesh.agent.stream import FrameStream
from agentmesh.agent.tasks import Tasks, supervised
from agentmesh.agent.ways import Ways
from agentmesh.core.session import Session
from agentmesh.errors import LinkRefused, ProtocolError, Unreachable


class Reaching:
    """Looks for ways to hosts; whoever wants the same host looks together."""

    def __init__(
        self, ways: Ways, conversations: Conversations, tasks: Tasks, dialled: Callable[[str], Dialler | None]
    ) -> None:
        """``dialled`` has a peer dialled at once; it returns None for a host that is no peer."""
        self._ways = ways
        self._conversations = conversations
        self._openings = conversations.openings
        self._tasks = tasks
        self._dialled = dialled
        self._looking: dict[str, asyncio.Task[str]] = {}

    async def reach(self, host: str) -> None:
        """Have a link to a host, direct or through another host, dialling it if need be. Raises Unreachable."""
        if self._ways.best(host):
            return
        if host not in self._looking:
            self._looking[host] = self._tasks.start(f"reach {host}", self._reach(host))
        reason = await asyncio.shield(self._looking[host])
        if reason:
            raise Unreachable(host=host, reason=reason)

    async def begin(self, host: str, channel: str) -> tuple[FrameStream, Session]:
        """Begin a conversation with a host that there is a link to; the hellos come next. Raises Unreachable."""
        link = next(iter(self._ways.best(host)), None)
        if link is None:
            raise Unreachable(host=host, reason="the link broke just now")
        if link.via:
            return await self._tunnel(link.via, host, channel)
        if not link.can_invite and not self._openings.has_connection(host):
            reason = "it dials us, and is too old to take a file so; see that we can dial it"
            raise Unreachable(host=host, reason=reason)
        return await self._openings.open(host), self._conversations.begun(host, channel)

    async def _reach(self, host: str) -> str:
        """Look for ways to a host until there is one; returns why there is none, or nothing."""
        looking = asyncio.ensure_future(self._look_for_way(host))
        found = asyncio.ensure_future(self._ways.until(lambda: bool(self._ways.best(host))))
        try:
            with supervised("reaching failed", peer=host):
                await asyncio.wait({looking, found}, return_when=asyncio.FIRST_COMPLETED)
                return "" if found.done() else looking.result()
            return OUR_FAULT
        finally:
            del self._looking[host]
            looking.cancel()
            found.cancel()
            await asyncio.gather(looking, found, return_exceptions=True)

    async def _look_for_way(self, host: str) -> str:
        """Dial a host, and ask each neighbour for a way that may have one; returns why it can't be reached."""
        dialler = self._dialled(host)
        if dialler is None:
            return "it isn't in peers.conf, and hasn't dialled us"
        failure = asyncio.ensure_future(dialler.failure())
        refusals: list[str] = []
        try:
            while not failure.done():
                for near in self._ways.relays(host):
                    try:
                        await self._link_over(near, host)
                    except Unreachable as error:
                        self._ways.rest(host, near)
                        refusals.append(f"over {near}: {error.facts['reason']}")
                    else:
                        return ""
                another = asyncio.ensure_future(self._ways.until(lambda: bool(self._ways.relays(host))))
                await asyncio.wait({failure, another}, return_when=asyncio.FIRST_COMPLETED)
                another.cancel()
            return "; ".join([failure.result(), *refusals])
        finally:
            failure.cancel()

    async def _link_over(self, near: str, host: str) -> None:
        """Begin a link to a host over another. Raises Unreachable."""
        stream, session = await self._tunnel(near, host, "link")
        try:
            session = await greeted(stream, session)
        except (LinkRefused, ProtocolError, OSError) as error:
            stream.close()
            raise Unreachable(host=host, reason=error) from error
        self._ways.trust(host, near)
        self._conversations.start_link(stream, session)

    async def _tunnel(self, near: str, host: str, channel: str) -> tuple[FrameStream, Session]:
        """Begin a conversation with a host over another; it ends when its stream is closed. Raises Unreachable."""
        async with AsyncExitStack() as life:
            carrier = await self._openings.open(near)
            life.callback(carrier.close)
            await ask_relay(carrier, self._conversations.hello("relay", to=host), near)
            begun = self._conversations.begun_over(carrier, near, host, channel)
            try:
                stream, session = await life.enter_async_context(begun)
            except OSError as error:
                reason = f"over {near} nobody proved to have a key ({error})"
                raise Unreachable(host=host, reason=reason) from error
            kept = life.pop_all()
        self._tasks.start_supervised(f"tunnel to {host}", _keep(kept, stream))
        return stream, session


async def _keep(life: AsyncExitStack, stream: FrameStream) -> None:
    async with life:
        await stream.closed.wait()
