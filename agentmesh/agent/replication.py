"""The registry as this host holds it: in memory, remembered in the database, written as TOML for people and scripts."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentmesh.adapters.files import replace
from agentmesh.adapters.slices import Rendered, render_slices
from agentmesh.agent.log import log
from agentmesh.config import Paths
from agentmesh.core.liveness import Way
from agentmesh.core.model import Pane, Slice, Version
from agentmesh.core.registry import Registry, digest, in_epoch, is_outdone, is_sound, merge, next_slice
from agentmesh.errors import AgentmeshError
from agentmesh.store import slices
from agentmesh.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable


class Replica:
    """One host's copy of the registry. Its own slice has one writer, the scanner; the others are heard of."""

    def __init__(self, paths: Paths, alias: str, database: Database) -> None:
        self._paths = paths
        self._alias = alias
        self._database = database
        self._members = {alias}
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._rendered: Rendered = {}
        self._rising = asyncio.Lock()
        self._may_rise = False
        self.registry: Registry = {}
        self.states: dict[str, str] = {}
        """How each host stands, in words: ``live``, ``stale since …``."""
        self.on_change: Callable[[str], None] = lambda _: None
        """Told of each host whose slice has changed, when that is durable."""

    @property
    def members(self) -> set[str]:
        """The hosts of peers.conf and this one."""
        return self._members

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
            own = in_epoch(own, epoch, int(time.time()))
            await self._database.write(slices.keep, own)
        self._may_rise = new_epoch
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
        return True

    async def learn(self, part: Slice, source: str) -> None:
        """Take in a slice that its host sent, or another peer that has heard of it."""
        if part.host == self._alias:
            await self._rise_above(part.version, source)
            return
        if part.host not in self._members:
            log.info("slice ignored: its host is not in peers.conf", host=part.host, peer=source)
            return
        if not is_sound(part):
            log.warning(
                "slice ignored: it speaks for another host, or holds what no tmux says", host=part.host, peer=source
            )
            return
        if merge(self.registry, part) is not self.registry:
            await self._keep(part)

    def set_ways(self, ways: Mapping[str, Way]) -> None:
        """Note which hosts live, and how each is reached; others that did are stale now."""
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        gone = {host: f"stale since {moment}" for host, state in self.states.items() if state.startswith("live")}
        live = {host: f"live via {way.via}" if way.via else "live" for host, way in ways.items()}
        states = {host: state for host, state in (self.states | gone).items() if host in self._members} | live
        if states != self.states:
            self.states = states
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
            await asyncio.to_thread(self._write, own, every, states)

    async def _rise_above(self, version: Version, source: str) -> None:
        """Raise this host's slice above one that somebody holds of it.

        The host's one agent alone does that: whoever does its work while none runs may hear of an agent that starts.
        """
        async with self._rising:
            if self._may_rise and is_outdone(self.own, version):
                log.warning("a newer slice of this host was heard: its disk was restored, or a peer lies", peer=source)
                epoch = await self._database.write(slices.next_epoch, version.epoch)
                await self._keep(in_epoch(self.own, epoch, int(time.time())))

    async def _keep(self, part: Slice) -> None:
        # In memory first, so that two writers can't pass each other while the database works.
        self.registry = merge(self.registry, part)
        self._changed.set()
        await self._database.write(slices.keep, part)
        self.on_change(part.host)

    def _write(self, own: list[Slice], every: list[Slice], states: dict[str, str]) -> None:
        replace(self._paths.local, render_slices(own, states))
        replace(self._paths.registry, render_slices(every, states, self._rendered))
