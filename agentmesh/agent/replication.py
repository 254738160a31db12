"""The registry as this host holds it: in memory, remembered in the database, written as TOML for people and scripts."""

import asyncio
import time
from typing import TYPE_CHECKING

from agentmesh.adapters.files import replace
from agentmesh.adapters.slices import render_slices
from agentmesh.agent.log import log
from agentmesh.config import Paths
from agentmesh.core.model import Pane, Slice, Version
from agentmesh.core.registry import Registry, digest, is_sound, merge, next_slice
from agentmesh.errors import AgentmeshError
from agentmesh.store import slices
from agentmesh.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable


class Replica:
    """One host's copy of the registry. Its own slice has one writer, the scanner; the others come from their hosts."""

    def __init__(self, paths: Paths, alias: str, database: Database) -> None:
        self._paths = paths
        self._alias = alias
        self._database = database
        self._members = {alias}
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self.registry: Registry = {}
        self.states: dict[str, str] = {}
        """How each host stands, in words: ``live``, ``stale since …``."""
        self.on_own_change: Callable[[Slice], None] = lambda _: None

    @property
    def own(self) -> Slice:
        """The slice of this host."""
        return self.registry[self._alias]

    async def load(self, members: list[str], *, new_epoch: bool) -> None:
        """Take up what was known before; forget hosts that left.

        The host's one agent begins a new epoch, so that its slices are newer than all before. A process that does the
        work of an agent while none runs goes on in the old one: an agent that starts meanwhile is newer.
        """
        known = {part.host: part for part in await self._database.write(slices.load)}
        own = known.get(self._alias) or Slice(self._alias, Version(0, 0, digest(())), int(time.time()))
        if new_epoch:
            epoch = await self._database.write(slices.next_epoch)
            own = Slice(self._alias, Version(epoch, 0, own.version.digest), int(time.time()), own.panes)
            await self._database.write(slices.keep, own)
        self.registry = {**known, self._alias: own}
        await self.set_members(members)

    async def set_members(self, members: list[str]) -> None:
        """Keep the slices of these hosts and of this one, and no others."""
        self._members = {self._alias, *members}
        for host in self.registry.keys() - self._members:
            await self._database.write(slices.forget, host)
        self.registry = {host: part for host, part in self.registry.items() if host in self._members}
        self._changed.set()

    async def publish(self, panes: tuple[Pane, ...]) -> bool:
        """Make what a scan found this host's slice; returns whether it is news."""
        part = next_slice(self.own, panes, int(time.time()))
        if part is self.own:
            return False
        await self._keep(part)
        self.on_own_change(part)
        return True

    async def learn(self, part: Slice) -> None:
        """Take in a slice that its host sent."""
        if part.host not in self._members:
            log.info("slice ignored: its host is not in peers.conf", peer=part.host)
            return
        if not is_sound(part):
            log.warning("slice ignored: it speaks for another host, or holds what no tmux says", peer=part.host)
            return
        if merge(self.registry, part) is not self.registry:
            await self._keep(part)

    def set_state(self, host: str, state: str) -> None:
        """Note how a host stands."""
        if self.states.get(host) != state:
            self.states[host] = state
            self._changed.set()

    async def keep_files(self) -> None:
        """Write the TOML files whenever something changed; many changes at once are one writing."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.write_files()
            except (OSError, AgentmeshError) as error:
                log.error("the registry's files can't be written", reason=error)

    async def write_files(self) -> None:
        """Write local.toml and registry.toml, where their content changed."""
        states = {host: self.states.get(host, "stale") for host in self.registry} | {self._alias: "live"}
        async with self._writing:
            own, every = [self.own], list(self.registry.values())
            await asyncio.to_thread(_write, self._paths, own, every, states)

    async def _keep(self, part: Slice) -> None:
        # In memory first, so that two writers can't pass each other while the database works.
        self.registry = merge(self.registry, part)
        self._changed.set()
        await self._database.write(slices.keep, part)


def _write(paths: Paths, own: list[Slice], every: list[Slice], states: dict[str, str]) -> None:
    replace(paths.local, render_slices(own, states))
    replace(paths.registry, render_slices(every, states))
