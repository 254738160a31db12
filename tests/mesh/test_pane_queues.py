"""The queue of a pane, without a pane: whose turn it is, as the disk says."""

import asyncio
import time
from functools import partial
from pathlib import Path

from agentmesh.agent.pane_queues import FIRST_LOOK_SECONDS, PaneQueues, found
from agentmesh.agent.tasks import Tasks
from agentmesh.agent.turns import Entry, Turns
from agentmesh.config import Queue
from agentmesh.core.delivery import Event, State
from agentmesh.core.model import Message, Pane, Receipt
from agentmesh.store import inbox
from agentmesh.store.database import Database, open_database
from tests.core.examples import NOW, a_message, a_pane

LATER = int(time.time()) + 600


class OpenPane(Turns):
    """Takes each message whose turn the disk says it is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.taken: list[str] = []
        self.tries = 0

    def known_pane(self, _message: Message) -> Pane:
        """Every message is for the same pane."""
        return a_pane()

    async def find_pane(self, _entry: Entry) -> Pane:
        """Every message is for the same pane."""
        return a_pane()

    async def take(self, entry: Entry, _pane: Pane | None, _ahead: Receipt | None) -> Receipt:
        """Journal that a message was taken."""
        self.tries += 1
        receipt = await self.read(entry)
        for event in (Event.PASTE, Event.SEE, Event.TAKE):
            receipt = await self._journal(receipt, event, in_turn=event is Event.PASTE)
        self.taken.append(entry.message.body)
        return receipt


class StuckPane(OpenPane):
    """Can't be asked."""

    async def take(self, entry: Entry, _pane: Pane | None, _ahead: Receipt | None) -> Receipt:
        """Leave a message as it is."""
        self.tries += 1
        return await self.read(entry)


async def test_a_message_that_came_into_the_queue_before_what_was_stored_earlier_lets_it_go_first(
    tmp_path: Path,
) -> None:
    """One of this host is stored first, then queued; one of a peer has its place first, and is stored then."""
    async with open_database(tmp_path / "mesh.db") as database, Tasks() as tasks:
        turns = OpenPane(database)
        queues = PaneQueues(Queue(pause=0), database, turns, tasks)
        ours, theirs = a_message(1, body="ours", expires=LATER), a_message(2, body="theirs", expires=LATER)
        stored = await database.write(inbox.accept_and_store, ours, NOW)
        newer = queues.put(theirs, lambda: database.write(inbox.store, theirs, NOW))
        await newer.stored
        older = queues.put(ours, partial(found, stored))
        async with asyncio.timeout(10):
            assert {(await older.ended).state, (await newer.ended).state} == {State.SUBMITTED}
        assert turns.taken == ["ours", "theirs"]


async def test_what_another_process_has_left_goes_first_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    async with open_database(tmp_path / "mesh.db") as database, Tasks() as tasks:
        turns = OpenPane(database)
        queues = PaneQueues(Queue(pause=0), database, turns, tasks)
        one, two, three = [a_message(n, body=str(n), expires=LATER) for n in (1, 2, 3)]
        for message in (one, two):
            await database.write(inbox.store, message, NOW)
        queues.put(two, lambda: database.write(inbox.store, two, NOW))
        last = queues.put(three, lambda: database.write(inbox.store, three, NOW))
        async with asyncio.timeout(10):
            await last.ended
        assert turns.taken == ["1", "2", "3"]


async def test_a_begun_message_whose_time_is_over_is_not_looked_at_without_a_pause(tmp_path: Path) -> None:
    async with open_database(tmp_path / "mesh.db") as database, Tasks() as tasks:
        turns = StuckPane(database)
        queues = PaneQueues(Queue(pause=0), database, turns, tasks)
        message = a_message(1, expires=int(time.time()) - 60)
        begun = time.monotonic()
        queues.put(message, lambda: database.write(inbox.store, message, NOW))
        await asyncio.sleep(5 * FIRST_LOOK_SECONDS)
        assert 0 < turns.tries <= (time.monotonic() - begun) / FIRST_LOOK_SECONDS + 1
