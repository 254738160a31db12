"""A typist at a real tmux server, with a journal that is only remembered."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from agentmesh.adapters.tmux import TmuxServer
from agentmesh.agent.drops import Drops
from agentmesh.agent.sight import Sight
from agentmesh.agent.typist import Typist
from agentmesh.config import Drops as DropsConfig
from agentmesh.config import Paths, load_profiles
from agentmesh.core.delivery import Event, State, step
from agentmesh.core.model import Pane, Profile, Receipt
from agentmesh.core.readiness import Readiness
from agentmesh.core.text import tagged
from tests.core.examples import a_message, a_pane, a_receipt
from tests.eventually import eventually, eventually_async
from tests.tmux import RealTmux

CLAUDE = Path(__file__).parent / "programs" / "claude.py"
PROFILES = load_profiles(Paths(Path("/nonexistent")))


class Desk:
    """Delivers messages into panes, and remembers every step."""

    def __init__(self, tmux: RealTmux, folder: Path, profiles: Mapping[str, Profile] = PROFILES) -> None:
        self.tmux = tmux
        self.folder = folder
        self.events: list[Event] = []
        self.meanwhile: dict[Event, Callable[[], object]] = {}
        """What happens to the pane while a step is being journaled: just before the next key."""
        (folder / "buffers").mkdir()
        self.server = TmuxServer(tmux.socket, folder / "buffers")
        self.typist = Typist(profiles, Drops(DropsConfig(folder=str(folder / "drops")), folder))

    def open(self, name: str, *command: str | Path) -> Pane:
        """Run a program in a window of its own."""
        pane = self.tmux.new_window(name, *map(str, command))
        return a_pane(pane=pane, pid=int(self.tmux.ask(pane, "#{pane_pid}")), target=f"dev:{name}")

    def open_claude(self, mode: str = "plain", *, sign: str = "shortcuts") -> Pane:
        """Run the fake program, and wait until it has drawn itself."""
        pane = self.open("claude", sys.executable, CLAUDE, self.folder / "log", mode)
        eventually(lambda: sign in self.screen(pane), "it has drawn itself", lambda: self.screen(pane))
        return pane

    def screen(self, pane: Pane) -> str:
        """Return what a pane shows."""
        return self.tmux.screen(pane.pane)

    def submitted(self) -> list[str]:
        """Return what the fake program was given."""
        log = self.folder / "log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def press(self, pane: Pane, *keys: str, shows: str) -> None:
        """Press keys as a person does, and wait until the pane shows what comes of it."""
        self.tmux.run("send-keys", "-t", pane.pane, *keys)
        eventually(lambda: shows in self.screen(pane), f"it shows {shows}", lambda: self.screen(pane))

    async def until_seen(self, pane: Pane, readiness: Readiness) -> Sight:
        """Wait until a pane is found to be ready in this way, or not ready."""
        seen = [await self.typist.look(self.server, pane)]
        deadline = time.monotonic() + 10
        while seen[0].readiness is not readiness:
            assert time.monotonic() < deadline, f"{readiness} was awaited; it is {seen[0].readiness}"
            await asyncio.sleep(0.01)
            seen = [await self.typist.look(self.server, pane)]
        return seen[0]

    async def until_shown(self, pane: Pane, text: str) -> None:
        """Wait until a pane shows a text."""
        await eventually_async(lambda: text in self.screen(pane), f"it shows {text}", lambda: self.screen(pane))

    async def deliver(
        self, pane: Pane, body: str = "hello", receipt: Receipt | None = None, *, force: bool = False, expires: int = 0
    ) -> Receipt:
        """Deliver a message that is stored, or as far as its receipt says."""
        storing: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        storing.set_result(receipt or a_receipt())
        message = a_message(body=body, force=force, expires=expires)
        return await self.typist.deliver(message, pane, self.server, storing, self._journal)

    async def _journal(self, receipt: Receipt, event: Event) -> Receipt:
        self.events.append(event)
        if happens := self.meanwhile.pop(event, None):
            happens()
        return msgspec.structs.replace(receipt, state=step(receipt.state, event), time=int(time.time()))


def text_of(body: str) -> str:
    """Return a message's text as it stands in a pane."""
    message = a_message(body=body)
    return tagged(message.sender, message.sent, message.body)


def begun(state: State, readiness: Readiness, when: int | None = None) -> Receipt:
    """Return the receipt of a message that a crash has cut off, now or at some time."""
    return a_receipt(state=state, readiness=readiness, time=int(time.time()) if when is None else when)
