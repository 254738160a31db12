"""Messages on their way to another host: whose word ends them."""

import asyncio
from pathlib import Path

from agentmesh.agent.courier import Courier
from agentmesh.agent.tasks import Tasks
from agentmesh.core.delivery import State
from agentmesh.core.wire import Frame
from agentmesh.store import outbox
from agentmesh.store.database import open_database
from tests.core.examples import a_message, a_receipt


class Way:
    """A way to every host, at whose end nobody answers."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()

    def dial(self, host: str) -> None:
        """There is a link already."""

    async def reach(self, host: str) -> None:
        """There is a link already."""

    async def send(self, _host: str, _frame: Frame) -> None:
        """Let the test go on."""
        self.sent.set()

    async def wait_for_link(self, host: str) -> None:
        """There is a link already."""


async def test_only_the_message_s_own_host_tells_of_its_end(tmp_path: Path) -> None:
    way = Way()
    async with open_database(tmp_path / "mesh.db") as database, Tasks() as tasks:
        courier = Courier(database, tasks)
        await database.write(outbox.accept, a_message(host="worker"))
        carrying = asyncio.ensure_future(courier.carry(a_message(host="worker"), way))
        await way.sent.wait()
        await courier.record(a_receipt(state=State.SUBMITTED, host="relay"))
        await courier.record(a_receipt(state=State.DISPLAYED, host="worker"))
        assert (await carrying).state is State.DISPLAYED
