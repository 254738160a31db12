"""Where a session's program runs: its tmux server, a workspace's or another; its pane, and what is shown above it."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from agentmesh.adapters import tmux_panes
from agentmesh.adapters.files import make_private_folder, replace
from agentmesh.adapters.tmux import TmuxServer
from agentmesh.agent.directory import Caller, Directory
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.session_book import SessionBook
from agentmesh.core import workspace
from agentmesh.core.agent_session import AgentSession
from agentmesh.core.model import Pane
from agentmesh.core.session_request import Creation
from agentmesh.errors import AgentmeshError, UnknownAddress, UsageError

_EXECUTABLE = 0o700
_PROGRAM = "agentmesh session create"


class Room(NamedTuple):
    """A pane in which a program is to be started."""

    server: TmuxServer
    pane: str
    workspace: str
    environment: Mapping[str, str]
    """What the program finds there."""


class SessionRooms:
    """Opens panes; a shim for tmux waits in those of a workspace."""

    def __init__(self, folder: Path, alias: str, book: SessionBook, scanner: Scanner, directory: Directory) -> None:
        """Keep the shims in the private folder ``folder``."""
        self._folder = folder
        self._alias = alias
        self._book = book
        self._scanner = scanner
        self._directory = directory

    async def open(self, wanted: Creation, window: str, caller: Caller) -> Room:
        """Open the pane that was asked for; a session of its own gets a window of this name.

        Raises UsageError, UnknownAddress, NoRoom, TmuxFailed; then there is none.
        """
        await self._scanner.scan()
        beside = await self._own_pane(wanted.split, caller) if wanted.split else None
        server = await self._server(wanted, beside, caller)
        kept_in = self._workspace(wanted, server)
        environment = await self._enter(kept_in, server, wanted.path)
        if beside:
            opened = await tmux_panes.split(server, beside.pane, wanted.cwd, wanted.layout)
        elif wanted.window:
            opened = await tmux_panes.open_window(server, wanted.window, wanted.name, wanted.cwd)
        else:
            opened = await tmux_panes.open_session(server, wanted.name, window, wanted.cwd)
        room = Room(server, opened, kept_in, environment)
        return await _framed(room, wanted.name) if wanted.split or wanted.window else room

    async def open_again(self, session: AgentSession, path: str) -> Room:
        """Open a pane for a session where it was. Raises TmuxFailed."""
        await self._scanner.scan()
        server = self._scanner.server(session.server)
        environment = await self._enter(session.workspace, server, path)
        is_there = await tmux_panes.has_session(server, session.tmux_session)
        opening = tmux_panes.open_window if is_there else tmux_panes.open_session
        opened = await opening(server, session.tmux_session, session.window, session.cwd)
        room = Room(server, opened, session.workspace, environment)
        return await _framed(room, session.name) if is_there else room

    async def _server(self, wanted: Creation, beside: Pane | None, caller: Caller) -> TmuxServer:
        """Return the server in which the pane is to be."""
        if beside:
            if wanted.workspace not in {"", beside.server}:
                reason = f"{wanted.split} is in another tmux server than {wanted.workspace}; see --workspace."
                raise UsageError(reason=reason, program=_PROGRAM)
            return self._scanner.server(beside.server)
        if wanted.window:
            for server in await self._running():
                if wanted.workspace in {"", server.name} and await tmux_panes.has_session(server, wanted.window):
                    return server
            raise UnknownAddress(address=f"session {wanted.window}", hint="No such tmux session runs here. ")
        return self._scanner.server(wanted.workspace or (caller.pane.server if caller.pane else workspace.NONE))

    def _workspace(self, wanted: Creation, server: TmuxServer) -> str:
        """Return the workspace in which a program is kept; empty where it is in none."""
        if wanted.workspace:
            return "" if wanted.workspace == workspace.NONE else wanted.workspace
        return next((each.workspace for each in self._book.open if each.workspace == server.name), "")

    async def _enter(self, name: str, server: TmuxServer, path: str) -> Mapping[str, str]:
        """Return a program's environment; put a workspace's shim there, and have all panes of its server use it."""
        if not name:
            return workspace.environment("", "", path)
        folder = self._folder / name
        make_private_folder(self._folder)
        make_private_folder(folder)
        shim = workspace.shim(os.fspath(server.path))
        await asyncio.to_thread(replace, folder / "tmux", shim.encode(), _EXECUTABLE)
        environment = workspace.environment(name, os.fspath(folder), path)
        await tmux_panes.set_environment(server, environment)
        return environment

    async def _own_pane(self, address: str, caller: Caller) -> Pane:
        matches = await self._directory.find(address, caller)
        if len(matches) != 1 or matches[0].pane.host != self._alias:
            raise UsageError(reason=f"{address} is not one pane of this host.", program=_PROGRAM)
        return matches[0].pane

    async def _running(self) -> list[TmuxServer]:
        return [server for server in self._scanner.servers if await asyncio.to_thread(server.runs)]


async def _framed(room: Room, title: str) -> Room:
    """Show above a pane what it is; where that fails, there is none."""
    try:
        await tmux_panes.frame(room.server, room.pane, title)
    except AgentmeshError:
        await tmux_panes.close(room.server, room.pane)
        raise
    return room
