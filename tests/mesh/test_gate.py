"""A few peers are dialled at a time, and whoever somebody waits for is dialled before the others."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agentmesh.agent.gate import Gate
from tests.eventually import eventually
from tests.mesh.local import LocalHost, befriend

MUTE = [f"mute{number}" for number in range(40)]


async def test_only_so_many_pass_at_a_time() -> None:
    gate, passed = Gate(places=2, seconds=3600), []

    async def enter(name: str, leaving: asyncio.Event) -> None:
        async with gate.place():
            passed.append(name)
            await leaving.wait()

    leavings = [asyncio.Event() for _ in range(3)]
    tasks = [asyncio.ensure_future(enter(name, leaving)) for name, leaving in zip("abc", leavings, strict=True)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert passed == ["a", "b"]
    leavings[1].set()
    await tasks[1]
    leavings[0].set()
    leavings[2].set()
    await asyncio.gather(*tasks)
    assert passed == ["a", "b", "c"]


async def test_who_takes_too_long_keeps_nobody_waiting() -> None:
    gate, passed = Gate(places=1, seconds=0), []
    async with AsyncExitStack() as held:
        for number in range(3):
            await held.enter_async_context(gate.place())
            passed.append(number)
    assert passed == [0, 1, 2]


async def test_who_is_answered_keeps_the_place() -> None:
    gate = Gate(places=1, seconds=0)
    async with gate.place() as stay:
        stay()
        others = asyncio.ensure_future(gate.place().__aenter__())
        await asyncio.sleep(0.05)
        assert not others.done()
    await others


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """Yield a listener that takes connections, and never says a word on them."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        listener.setblocking(False)  # noqa: FBT003 (the only way)
        yield listener


def calls(listener: socket.socket, kept: list[socket.socket]) -> int:
    """Return how many have called so far."""
    while True:
        try:
            kept.append(listener.accept()[0])
        except BlockingIOError:
            return len(kept)


@pytest.mark.tmux
def test_a_message_does_not_wait_behind_peers_that_hang(root: Path, deaf: socket.socket) -> None:
    caller, friend = LocalHost("caller", root), LocalHost("friend", root)
    kept: list[socket.socket] = []
    try:
        for host in (caller, friend):
            host.start()
        befriend((caller, friend), deaf={"caller"})
        eventually(lambda: "friend-dev-first" in caller.addresses(), "caller knows friend's pane")
        friend.keep_port()
        friend.kill()
        config = caller.home / ".ssh" / "config"
        port = deaf.getsockname()[1]
        config.write_text(f"{config.read_text()}\nHost mute*\n  HostName 127.0.0.1\n  Port {port}\n")
        (caller.agents / "peers.conf").write_text("".join(f"{alias}\n" for alias in (*MUTE, "friend")))
        eventually(lambda: calls(deaf, kept) > 0, "the peers that hang are dialled")
        friend.start()
        sent = caller.notify("friend-dev-first", "not last")
        assert sent.returncode == 0, sent.stderr
        assert calls(deaf, kept) < len(MUTE) // 2
    finally:
        for connection in kept:
            connection.close()
        caller.end()
        friend.end()
