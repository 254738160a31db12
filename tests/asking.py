"""Ask an agent by its socket, as its commands do: to start a command takes a hundred times as long as the answer."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from agentmesh.adapters import ipc
from agentmesh.config import Paths
from agentmesh.core.model import Pane, Standing
from agentmesh.core.session_request import SessionSight
from agentmesh.core.status import Status
from agentmesh.errors import NoAgent, Unreachable


class Asking:
    """The agent whose home is a folder, be it that one runs there or not."""

    def __init__(self, home: Path) -> None:
        self._socket = Paths(home).socket

    def answers(self) -> bool:
        """Tell whether an agent runs there."""
        try:
            self._ask("status")
        except (NoAgent, Unreachable):
            return False
        return True

    def listens(self) -> bool:
        """Tell whether an agent runs there, and its own listener for peers."""
        return self.answers() and bool(self.status().listening)

    def status(self) -> Status:
        """Return what the agent says of itself. Raises NoAgent."""
        return msgspec.json.decode(self._ask("status"), type=Status)

    def addresses(self) -> list[str]:
        """Return every address that it knows. Raises NoAgent."""
        panes = msgspec.json.decode(self._ask("list"), type=list[Pane])
        return [pane.address for pane in panes]

    def peers(self) -> list[Standing]:
        """Return how its peers stand. Raises NoAgent."""
        return msgspec.json.decode(self._ask("peers", "list"), type=list[Standing])

    def session(self, name: str) -> SessionSight:
        """Return how a session is, of which there is one of that name. Raises NoAgent."""
        (seen,) = (one for one in self.sessions() if one.session.name == name)
        return seen

    def sessions(self) -> list[SessionSight]:
        """Return how all sessions are, archived ones too. Raises NoAgent."""
        return msgspec.json.decode(self._ask("session", "status"), type=list[SessionSight])

    def sync(self) -> None:
        """Have it read its files again, scan, and dial. Raises NoAgent."""
        self._ask("sync")

    def _ask(self, *words: str) -> bytes:
        with ThreadPoolExecutor(max_workers=1) as thread:  # who asks may have an event loop of its own
            return thread.submit(asyncio.run, ipc.ask(self._socket, *words)).result()
