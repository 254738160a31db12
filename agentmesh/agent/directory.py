"""Who is who: the pane that a command runs in, by the kernel's word, and the panes that an address means."""

import time
from collections.abc import Collection

import msgspec

from agentmesh.adapters import process
from agentmesh.adapters.ipc import Request
from agentmesh.agent.replication import Replica
from agentmesh.agent.scanner import Scanner
from agentmesh.core.model import Pane
from agentmesh.core.registry import Match, resolve, tmux_pane
from agentmesh.core.text import sender_name
from agentmesh.errors import UnknownAddress


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the pane that the calling process runs in, if any, and the name to show."""

    pane: Pane | None
    name: str


class Directory:
    """Finds panes in the registry; looks at tmux again before it says that there are none."""

    def __init__(self, alias: str, replica: Replica, scanner: Scanner) -> None:
        self._alias = alias
        self._replica = replica
        self._scanner = scanner

    async def caller(self, request: Request) -> Caller:
        """Find the pane that the asking process runs in.

        ``AGENT_NAME`` is the name where there is no pane (cron); otherwise it is shown beside the pane's.
        """
        pane = self._pane_of(request.pid)
        if pane is None and "TMUX_PANE" in request.environment:
            await self._scanner.scan()
            pane = self._pane_of(request.pid)
        claimed = sender_name(request.environment.get("AGENT_NAME", ""))
        if pane is None:
            return Caller(None, claimed or self._alias)
        agrees = claimed.lower() in {"", pane.address.lower(), pane.handle.lower()}
        return Caller(pane, pane.address if agrees else f"{pane.address} (as {claimed})")

    async def find(self, address: str, caller: Caller) -> list[Match]:
        """Find the panes that an address means. Raises UnknownAddress, AmbiguousAddress."""
        now = int(time.time())
        try:
            return resolve(self._replica.registry, address, now, caller.pane)
        except UnknownAddress:
            if not await self._scanner.scan():
                raise
            return resolve(self._replica.registry, address, now, caller.pane)

    def addresses_of(self, pane: Pane) -> list[str]:
        """Return every address that a pane of this host has, and those its window had."""
        same = [known for known in self._replica.own.panes if tmux_pane(known) == tmux_pane(pane)]
        return [address for known in same for address in (known.address, *known.formerly)]

    def pane_at(self, addresses: Collection[str]) -> Pane | None:
        """Return the pane of this host that has one of these addresses now."""
        return next((pane for pane in self._replica.own.panes if pane.address in addresses), None)

    def _pane_of(self, pid: int) -> Pane | None:
        panes = {pane.pid: pane for pane in reversed(self._replica.own.panes)}
        return next((panes[ancestor] for ancestor in process.ancestors(pid) if ancestor in panes), None)
