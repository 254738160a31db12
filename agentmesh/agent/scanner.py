"""Scan tmux when something has changed, and make what is found this host's slice."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from agentmesh.adapters import process
from agentmesh.adapters.tmux import TmuxServer, find_sockets, hooks_in, socket_folder
from agentmesh.adapters.watch import changes
from agentmesh.agent.log import log
from agentmesh.agent.replication import Replica
from agentmesh.agent.tasks import Tasks
from agentmesh.config import Config, Paths, hooks_file
from agentmesh.core.inventory import Listing, take_inventory
from agentmesh.core.model import Profile
from agentmesh.errors import TmuxFailed

RETRY_SECONDS = 0.5
"""How soon a scan that has failed is tried again: a server that ends may still be there for a moment."""


class Scanner:
    """Knows this host's tmux servers, and keeps its slice true."""

    def __init__(
        self, paths: Paths, config: Config, alias: str, profiles: Mapping[str, Profile], replica: Replica
    ) -> None:
        self._paths = paths
        self._config = config
        self._alias = alias
        self._programs = {
            name: profile.name for profile in profiles.values() if profile.kind == "box" for name in profile.processes
        }
        self._replica = replica
        self._servers: dict[str, TmuxServer] = {}
        self._scanning = asyncio.Lock()
        self._begun = 0
        """How many scans have been begun."""
        self._wanted = asyncio.Event()
        replica.on_successor = self._wanted.set
        self.on_change: Callable[[], None] = lambda: None
        """Told that a scan has found something else than the one before."""
        self._pids: set[int] = set()
        self._watched: set[int] = set()
        self._hooks = hooks_file()
        self._expected_hooks = hooks_in(self._hooks)
        self.panes: set[tuple[str, str]] = set()
        """Every pane, by server and pane id, also those that are left out of the slice."""
        self.in_front: dict[int, int] = {}
        """By the process of a pane: that of the agent program that was in front of it at the last scan."""
        self.failures: dict[str, str] = {}
        """The servers whose last scan failed, and why."""

    def server(self, name: str) -> TmuxServer:
        """Return a server by the name that its panes carry. Raises TmuxFailed."""
        if name not in self._servers:
            raise TmuxFailed(reason=f"no server called {name} runs here")
        return self._servers[name]

    @property
    def servers(self) -> list[TmuxServer]:
        """The servers that the last scan found."""
        return list(self._servers.values())

    def close(self) -> None:
        """Let go of the servers."""
        for server in self._servers.values():
            server.close()

    async def scan(self) -> bool:
        """Scan every server; returns whether the slice has changed. A server that can't be asked keeps its panes.

        All who ask while one scan runs share the next.
        """
        before, wanted = self._replica.own, self._begun + 1
        async with self._scanning:
            if self._begun < wanted:
                self._begun += 1
                seen = self.panes, self.in_front, self._replica.own
                await self._scan()
                if seen != (self.panes, self.in_front, self._replica.own):
                    self.on_change()
        return self._replica.own is not before

    async def _scan(self) -> None:
        self._find_servers()
        listings = await asyncio.gather(*(self._list(server) for server in self._servers.values()))
        kept = {server for server, listing in zip(self._servers, listings, strict=True) if listing is None}
        answered = [listing for listing in listings if listing is not None]
        self.panes = {place for place in self.panes if place[0] in kept}
        self.panes |= {(listing.server, record.pane) for listing in answered for record in listing.panes}
        programs = await asyncio.to_thread(self._programs_in_front, answered)
        own = self._replica.own.panes
        panes = take_inventory(
            self._alias,
            answered,
            programs,
            [pane for pane in own if pane.server not in kept],
            self._config.tmux.exclude,
            int(time.time()),
        )
        held = tuple(pane for pane in own if pane.server in kept)
        await self._replica.publish((*panes, *held))

    async def keep_scanning(self, tasks: Tasks) -> None:
        """Scan whenever a hook has spoken, a server has come or gone, and at every resync interval.

        Events during a scan are one more scan. After a failed one, of which nothing more may be heard, it is tried
        again soon, and then more and more seldom.
        """
        tasks.start("watch tmux", self._watch_files())
        interval, retry = self._config.sync.interval, RETRY_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(retry if self.failures else interval):
                    await self._wanted.wait()
            self._wanted.clear()
            await self.scan()
            retry = min(2 * retry, interval) if self.failures else RETRY_SECONDS
            for pid in self._pids - self._watched:
                self._watched.add(pid)
                tasks.start(f"watch tmux server {pid}", self._watch_server(pid))

    async def _watch_files(self) -> None:
        """Ask for a scan when a hook has touched its file, or a server has made its socket."""
        self._wanted.set()
        async for _ in changes(self._paths.event, socket_folder()):
            self._wanted.set()

    async def _watch_server(self, pid: int) -> None:
        """Ask for a scan when a server has ended: it runs no hook then, and leaves its socket behind."""
        await process.until_ended(pid)
        self._watched.discard(pid)
        self._pids.discard(pid)
        self._wanted.set()

    def _find_servers(self) -> None:
        known = {server.path for server in self._servers.values()}
        for path in find_sockets(self._config.tmux.servers):
            if path not in known:
                server = TmuxServer(path, self._paths.buffers)
                self._servers[server.name] = server

    async def _list(self, server: TmuxServer) -> Listing | None:
        """Return what a server lists; empty when none runs, None when it can't be asked."""
        try:
            if not await asyncio.to_thread(server.runs):
                self.failures.pop(server.name, None)
                return Listing(server.name, ())
            scan = await server.scan()
            if scan.hooks < self._expected_hooks:
                await server.load_hooks(self._hooks, self._paths.home)
                log.info("tmux hooks loaded", server=server.name)
                scan = await server.scan()  # what changed before the hooks were there was not heard
        except TmuxFailed as error:
            self.failures[server.name] = str(error)
            log.warning("scan failed; the last slice stands", server=server.name, reason=error)
            return None
        self.failures.pop(server.name, None)
        if not scan.panes:
            server.dismiss()  # it would end now
        self._pids |= {record.server_pid for record in scan.panes}
        return Listing(server.name, scan.panes)

    def program_of(self, found: process.Process) -> str:
        """Return which agent program a process is; empty when it is none."""
        return next((self._programs[name] for name in process.names(found) if name in self._programs), "")

    def _programs_in_front(self, listings: list[Listing]) -> dict[int, str]:
        table = process.read_table()
        found, pids = {}, {}
        for pid in {record.pid for listing in listings for record in listing.panes}:
            for each in process.in_front(pid, table):
                if program := self.program_of(each):
                    found[pid], pids[pid] = program, each.pid
                    break
        self.in_front = pids
        return found
