"""The registry as this host holds it: in memory, remembered in the database, written as TOML for people and scripts."""

import asyncio
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentmesh.adapters.files import replace
from agentmesh.adapters.slices import Rendered, render_slices
from agentmesh.agent.identities import Identities
from agentmesh.agent.log import log
from agentmesh.config import Paths
from agentmesh.core.identity import UNSIGNED, Seal, may_outdo
from agentmesh.core.liveness import Way
from agentmesh.core.model import HERE, Origin, Pane, Slice, Version
from agentmesh.core.registry import Registry, digest, in_epoch, is_outdone, is_sound, merge, next_slice, rightful
from agentmesh.core.wire import SliceNews, slice_text
from agentmesh.errors import AgentmeshError
from agentmesh.store import slices
from agentmesh.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable


class Replica:
    """One host's copy of the registry. Its own slice has one writer, the scanner; the others are heard of."""

    def __init__(self, paths: Paths, alias: str, database: Database, identities: Identities) -> None:
        self._paths = paths
        self._alias = alias
        self._database = database
        self._identities = identities
        self._seals: dict[str, Seal] = {}
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
        self.on_successor: Callable[[], None] = lambda: None
        """Told when this host's slice is now one that another process has published: it may be out of date."""

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
        work of an agent while none runs goes on in the old one: an agent that starts meanwhile is newer. When that has
        ended, too, and somebody tells of its slice, the process goes on from there.
        """
        loaded = await self._database.write(slices.load)
        known = {part.host: part for part, _ in loaded}
        self._seals = {part.host: seal for part, seal in loaded}
        own = known.get(self._alias) or Slice(self._alias, Version(0, 0, digest(())), int(time.time()))
        if new_epoch:
            epoch = await self._database.write(slices.next_epoch)
            own = in_epoch(own, epoch, int(time.time()))
            await self._database.write(slices.keep, own, self._sign(own))
        self._may_rise = new_epoch
        self.registry = {**known, self._alias: own}
        await self.set_members(members)

    async def set_members(self, members: list[str]) -> None:
        """Keep the slices of these hosts and of this one, and no others."""
        self._members = {self._alias, *members}
        for host in self.registry.keys() - self._members:
            await self.forget(host)
        self._changed.set()

    def news_of(self, host: str) -> SliceNews:
        """Return the slice of a host as it is told to others: as its host has signed it."""
        return SliceNews(self.registry[host], self._seals.get(host, UNSIGNED))

    async def publish(self, panes: tuple[Pane, ...]) -> bool:
        """Make what a scan found this host's slice; returns whether it is news."""
        offered = rightful(panes, self._alias, self._members)
        part = next_slice(self.own, offered, int(time.time()))
        if part is self.own:
            return False
        if left_out := {pane.address for pane in panes} - {pane.address for pane in offered}:
            addresses = ", ".join(sorted(left_out))
            log.warning("left out: these addresses belong to another host; rename their session", addresses=addresses)
        await self._keep(part, self._sign(part))
        return True

    async def learn(self, part: Slice, source: Origin, seal: Seal) -> None:
        """Take in a slice that its host sent, or another peer that has heard of it."""
        if part.host == self._alias:
            is_signed = self._identities.signer(seal) == self._identities.key.public
            if self._may_rise:
                await self._rise_above(part.version, source.host, is_signed=is_signed)
            elif is_signed:
                await self._follow(part, seal)
            return
        if part.host not in self._members:
            log.info("slice ignored: its host is not in peers.conf", host=part.host, peer=source.host)
            return
        if merge(self.registry, part) is self.registry:
            return
        if not is_sound(part, self._members):
            reason = "it speaks for another host, or holds what no tmux says"
        else:
            reason = self._identities.objection_to(part, source, seal)
        if reason:
            log.warning("slice refused", host=part.host, peer=source.host, reason=reason)
            return
        await self._keep(part, seal)

    async def reconsider(self, hosts: Collection[str]) -> None:
        """Forget what was taken of these hosts and wouldn't be now, their pins having changed; it is told again."""
        for host in self.registry.keys() & set(hosts) - {self._alias}:
            part, seal = self.registry[host], self._seals.get(host, UNSIGNED)
            if reason := self._identities.objection_to(part, HERE, seal):
                log.info("slice forgotten", host=host, reason=reason)
                await self.forget(host)

    async def forget(self, host: str) -> None:
        """Forget the slice of another host."""
        self.registry = {known: part for known, part in self.registry.items() if known != host}
        self._seals.pop(host, None)
        self._changed.set()
        await self._database.write(slices.forget, host)

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

    async def _rise_above(self, version: Version, source: str, *, is_signed: bool) -> None:
        """Raise the slice of this host, which this process alone writes, above one that somebody holds of it."""
        async with self._rising:
            if not is_outdone(self.own, version):
                return
            if not may_outdo(version, is_signed=is_signed):
                log.warning("slice refused: it speaks for this host, and this host never signed it", peer=source)
                return
            log.warning("a newer slice of this host was heard: its disk was restored, or a peer lies", peer=source)
            epoch = await self._database.write(slices.next_epoch, version.epoch)
            own = in_epoch(self.own, epoch, int(time.time()))
            await self._keep(own, self._sign(own))

    async def _follow(self, part: Slice, seal: Seal) -> None:
        """Go on from a slice of this host that another of its processes has published."""
        if is_outdone(self.own, part.version):
            await self._keep(part, seal)
            self.on_successor()

    def _sign(self, own: Slice) -> Seal:
        seal = self._seals[self._alias] = self._identities.seal(slice_text(own))
        return seal

    async def _keep(self, part: Slice, seal: Seal) -> None:
        # In memory first, so that two writers can't pass each other while the database works.
        self.registry = merge(self.registry, part)
        self._seals[part.host] = seal
        self._changed.set()
        await self._database.write(slices.keep, part, seal)
        self.on_change(part.host)

    def _write(self, own: list[Slice], every: list[Slice], states: dict[str, str]) -> None:
        replace(self._paths.local, render_slices(own, states))
        replace(self._paths.registry, render_slices(every, states, self._rendered))
