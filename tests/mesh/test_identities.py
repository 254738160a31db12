"""Conversations that are cut: whose key is revoked, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentmesh.adapters.authorized_keys import AuthorizedKeys
from agentmesh.adapters.keys import HostKey, make_key
from agentmesh.agent.identities import Identities
from agentmesh.core.identity import Pin, objection
from agentmesh.core.model import Origin
from agentmesh.core.session import Session, receive
from agentmesh.core.wire import Hello
from agentmesh.errors import LinkRefused

KEY, OTHER_KEY = "ssh-ed25519 AAAAone", "ssh-ed25519 AAAAtwo"


class Door:
    """A host ``hub``, and the conversations that it holds."""

    def __init__(self, identities: Identities) -> None:
        self.identities = identities
        self.talks: list[asyncio.Task[str]] = []

    def pin(self, name: str, key: str) -> None:
        self.identities.files.pin(self.identities.files.of_agent, Pin(name, key), f"/x/agentmesh wire --peer {name}")

    async def talk(
        self, host: str, pinned: str = "", expected: str | None = None, *, via: str = "", key: str = ""
    ) -> "asyncio.Task[str]":
        """Begin a conversation with a host, which proves a key when it is via another; returns what it ends with."""
        begun = asyncio.Event()

        async def hold() -> str:
            try:
                with self.identities.conversation(pinned) as held:
                    own = self.identities.hello("link")
                    terms = self.identities.terms_over_relay(host, key) if via else held.terms
                    session = Session(own=own, begins=expected is not None, expected=expected, via=via, terms=terms)
                    session, _ = receive(session, Hello(host=host, version="1"))
                    held.greet(session)
                    self.identities.check(held)
                    begun.set()
                    await asyncio.Event().wait()
            except LinkRefused as error:
                begun.set()
                return str(error)
            return ""

        task = asyncio.ensure_future(hold())
        self.talks.append(task)
        await begun.wait()
        return task


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    make_key(tmp_path / "key")
    files = AuthorizedKeys(tmp_path / "of_sshd", tmp_path / "of_agent")
    door = Door(Identities("hub", HostKey(tmp_path / "key"), files, require_pinned=False))
    yield door
    for task in door.talks:
        task.cancel()
    await asyncio.gather(*door.talks, return_exceptions=True)


async def test_a_revoked_key_ends_its_own_conversations_alone(door: Door) -> None:
    door.pin("worker", KEY)
    door.pin("other", OTHER_KEY)
    await door.identities.refresh()
    pinned = await door.talk("worker", pinned="worker")
    dialled = await door.talk("worker", expected="worker")
    others = [await door.talk("other", pinned="other"), await door.talk("third")]
    door.identities.files.unpin("worker")
    assert await door.identities.refresh() == {"worker"}
    assert "has been revoked" in await pinned
    assert not dialled.done()
    assert not any(task.done() for task in others)
    assert [held.origin.identity for held in door.identities.with_host("worker")] == ["host key"]


async def test_a_claim_ends_when_the_name_gets_a_pin(door: Door) -> None:
    claimed = await door.talk("worker")
    door.pin("worker", KEY)
    await door.identities.refresh()
    assert "a key is pinned to worker, and it called with another" in await claimed


async def test_a_key_that_another_has_replaced_is_revoked(door: Door) -> None:
    door.pin("worker", KEY)
    await door.identities.refresh()
    pinned = await door.talk("worker", pinned="worker")
    door.identities.files.unpin("worker")
    door.pin("worker", OTHER_KEY)
    await door.identities.refresh()
    assert "a key that was pinned to worker has been revoked" in await pinned


async def test_a_conversation_that_begins_before_the_edit_is_taken_up_is_judged_by_the_file(door: Door) -> None:
    door.pin("worker", KEY)
    pinned = await door.talk("worker", pinned="worker")
    assert door.identities.with_host("worker")[0].origin.identity == "pinned"
    assert await door.identities.refresh() == {"worker"}
    assert not pinned.done()


async def test_a_file_that_can_not_be_read_changes_nothing(door: Door) -> None:
    door.pin("worker", KEY)
    await door.identities.refresh()
    pinned = await door.talk("worker", pinned="worker")
    with unreadable(door.identities.files.of_agent):
        assert await door.identities.refresh() == frozenset()
    assert not pinned.done()


async def test_a_task_that_is_cancelled_by_its_owner_is_not_taken_for_a_refusal(door: Door) -> None:
    task = await door.talk("worker")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert door.identities.hosts == set()


async def test_a_removed_host_is_cut_whatever_it_is_known_by(door: Door) -> None:
    talks = [await door.talk("worker"), await door.talk("worker", expected="worker")]
    await door.identities.cut("worker", "hub has removed it")
    assert [await task for task in talks] == ["The link is refused: hub has removed it."] * 2


async def test_a_key_proven_over_a_relay_speaks_for_its_own_name_alone(door: Door) -> None:
    door.pin("worker", KEY)
    door.pin("other", OTHER_KEY)
    proven = await door.talk("worker", expected="worker", via="middle", key=KEY)
    assert [held.origin for held in door.identities.with_host("worker")] == [Origin("worker", "pinned", "middle")]
    terms = [door.identities.terms_over_relay("worker", key) for key in (OTHER_KEY, "ssh-ed25519 AAAAnone")]
    assert [objection("worker", each, "middle").split(",")[0] for each in terms] == [
        "its key is pinned to other",
        "a key is pinned to worker",
    ]
    assert not proven.done()


async def test_a_revoked_key_ends_a_conversation_over_a_relay_whoever_began_it(door: Door) -> None:
    door.pin("worker", KEY)
    door.pin("worker", OTHER_KEY)
    await door.identities.refresh()
    talks = [await door.talk("worker", expected=expected, via="middle", key=KEY) for expected in ("worker", None)]
    other = await door.talk("worker", expected="worker", via="middle", key=OTHER_KEY)
    door.identities.files.unpin("worker")
    door.pin("worker", OTHER_KEY)
    await door.identities.refresh()
    assert ["a key that was pinned to worker has been revoked" in await task for task in talks] == [True, True]
    assert not other.done()


async def test_a_key_that_is_revoked_before_the_hello_is_not_let_in(door: Door) -> None:
    door.pin("worker", KEY)
    terms = door.identities.terms_over_relay("worker", KEY)
    door.identities.files.unpin("worker")
    own = door.identities.hello("link")
    session = Session(own=own, expected="worker", via="middle", terms=terms)
    with door.identities.conversation() as held:
        held.greet(receive(session, Hello(host="worker", version="1"))[0])
        with pytest.raises(LinkRefused, match="has been revoked"):
            door.identities.check(held)


@contextmanager
def unreadable(file: Path) -> Iterator[None]:
    """Put a folder in the place of a file."""
    aside = file.with_name("aside")
    file.rename(aside)
    file.mkdir()
    try:
        yield
    finally:
        file.rmdir()
        aside.rename(file)
