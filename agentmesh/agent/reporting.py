"""What `agentmesh status` asks for: how the agent is, its peers, what waits, and what went wrong last."""

import asyncio
import os
from collections import Counter
from contextlib import suppress

from agentmesh import __version__
from agentmesh.adapters.ipc import Request
from agentmesh.adapters.tmux import socket_folder
from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.links import Links
from agentmesh.agent.log import log
from agentmesh.agent.mirrors import Mirrors
from agentmesh.agent.peers import Peers
from agentmesh.agent.postman import Postman
from agentmesh.agent.replication import Replica
from agentmesh.agent.scanner import Scanner
from agentmesh.config import Paths, settings_time
from agentmesh.core.status import Status
from agentmesh.errors import Unreachable

ROUND_TRIP_SECONDS = 0.5
"""How long peers may take to answer, so that their latency is that of now."""


class Reporting:
    """Tells how the agent is."""

    def __init__(
        self,
        paths: Paths,
        alias: str,
        replica: Replica,
        scanner: Scanner,
        links: Links,
        peers: Peers,
        postman: Postman,
        mirrors: Mirrors,
    ) -> None:
        self._paths = paths
        self._alias = alias
        self._replica = replica
        self._scanner = scanner
        self._links = links
        self._peers = peers
        self._postman = postman
        self._mirrors = mirrors
        self._settings = settings_time(paths)
        self.listening = ""
        """The address of the agent's own SSH listener; empty without one."""
        self.code = ""
        """A digest of the code that this agent was started with."""

    async def status(self, _: Request, answer: Answer) -> int:
        """Tell it as JSON."""
        await self._measure()
        unended = [letter.message.host for letter in await self._postman.outgoing(ended=False)]
        status = Status(
            host=self._alias,
            version=__version__,
            code=self.code,
            settings=self._settings,
            pid=os.getpid(),
            home=str(self._paths.home),
            listening=self.listening,
            panes=sum("." not in pane.address for pane in self._replica.own.panes),
            hosts=len(self._replica.registry),
            tmux_folder=str(socket_folder()),
            servers=[server.name for server in self._scanner.servers if server.runs()],
            failures=self._scanner.failures,
            peers=self._peers.standings(),
            waiting=self._postman.waiting,
            outbox=dict(Counter(host for host in unended if host != self._alias)),
            brokers=await self._mirrors.standings(),
            troubles=list(log.troubles),
        )
        await answer.write_output(as_json(status))
        return 0

    async def _measure(self) -> None:
        """Measure the round trip to every peer that there is a link to."""
        hosts = [peer.host for peer in self._links.statuses if self._links.has_link(peer.host)]
        with suppress(TimeoutError):
            async with asyncio.timeout(ROUND_TRIP_SECONDS):
                await asyncio.gather(*map(self._ping, hosts))

    async def _ping(self, host: str) -> None:
        with suppress(Unreachable):
            await self._links.vigil.ping(host)
