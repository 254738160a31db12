"""The agent's socket: both ends of it, and the command that speaks it without importing anything of ours."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentmesh import notify
from agentmesh.adapters import ipc
from agentmesh.adapters.ipc import Answer, Refused, Request
from agentmesh.errors import NoAgent, ProtocolError, Unreachable

OnRequest = Callable[[Request, Answer], Awaitable[None]]


@asynccontextmanager
async def agent(path: Path, on_request: OnRequest) -> AsyncIterator[list[tuple[bytes, str]]]:
    """Listen as an agent does; yields how the conversations of peers began, and whose they are."""
    peers: list[tuple[bytes, str]] = []

    async def on_peer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: bytes, pinned: str) -> None:
        peers.append((begun, pinned))
        writer.write(b"welcome")

    async with ipc.listening(path, on_request, on_peer):
        yield peers


async def echo(request: Request, answer: Answer) -> None:
    await answer.write_output("|".join(request.words))
    await answer.exit(0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


@pytest.mark.parametrize(
    "words", [["status"], ["notify-pane", "a", "two\nlines", "", "é🦊", "--x=y"], ["w" * 100_000], ["\udcff"]]
)
async def test_a_command_s_words_reach_the_agent_as_they_are(path: Path, words: list[str]) -> None:
    heard: list[Request] = []

    async def note(request: Request, answer: Answer) -> None:
        heard.append(request)
        await answer.exit(0)

    async with agent(path, note):
        await ipc.ask(path, *words)
    assert heard[0].words == words
    assert heard[0].folder == Path.cwd()


async def test_the_agent_knows_who_asks_from_the_kernel(path: Path) -> None:
    pids: list[int] = []

    async def note(request: Request, answer: Answer) -> None:
        pids.append(request.pid)
        await answer.exit(0)

    async with agent(path, note):
        await ipc.ask(path, "whoami")
        asking = await _notify(path, "x")
        await asking.wait()
    assert pids == [os.getpid(), asking.pid]


async def test_what_the_agent_refuses_is_raised_with_its_words_and_code(path: Path) -> None:
    async def refuse(_: Request, answer: Answer) -> None:
        await answer.write_output("not this")
        await answer.write_error("the pane ")
        await answer.write_error("is busy\n")
        await answer.exit(3)

    async with agent(path, refuse):
        with pytest.raises(Refused, match="the pane is busy") as refused:
            await ipc.ask(path, "notify-pane")
    assert refused.value.exit_code == 3


async def test_what_the_agent_tells_bit_by_bit_is_taken_as_it_comes(path: Path) -> None:
    taken: list[bytes] = []
    has_taken = asyncio.Event()

    def take(part: bytes) -> None:
        taken.append(part)
        has_taken.set()

    async def tell(_: Request, answer: Answer) -> None:
        await answer.write_output("one\n")
        await has_taken.wait()
        await answer.write_output("two\n")
        await answer.exit(0)

    async with agent(path, tell), asyncio.timeout(20):
        assert await ipc.ask(path, "listen", take=take) == b""
    assert taken == [b"one\n", b"two\n"]


async def test_without_an_agent_there_is_none(path: Path) -> None:
    with pytest.raises(NoAgent):
        await ipc.ask(path, "status")
    async with agent(path, echo):
        pass
    with pytest.raises(NoAgent):
        await ipc.ask(path, "status")


async def test_an_agent_that_goes_away_is_no_success(path: Path) -> None:
    async def vanish(_: Request, answer: Answer) -> None:
        await answer.write_output("half of it")

    async with agent(path, vanish):
        with pytest.raises(Unreachable, match="went away"):
            await ipc.ask(path, "status")


async def test_the_socket_is_for_this_user_alone_and_replaces_a_dead_one(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()  # noqa: ASYNC240 (as above)
    async with agent(path, echo):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600  # noqa: ASYNC240 (as above)
        assert await ipc.ask(path, "a", "b") == b"a|b"
    assert not path.exists()  # noqa: ASYNC240 (as above)


async def test_what_a_peer_sends_first_is_handed_on(path: Path) -> None:
    async with agent(path, echo) as peers:
        reader, writer = await ipc.connect(path)
        writer.write(b"\0\0\0\x09more")
        assert await reader.read() == b"welcome"
        writer.close()
    assert peers == [(b"\0\0\0\x09", "")]


@pytest.mark.parametrize("pinned", ["", "worker-1"])
async def test_a_caller_can_say_nothing_before_the_name_that_its_key_is_pinned_to(path: Path, pinned: str) -> None:
    async with agent(path, echo) as peers:
        script = f"from agentmesh.cli.wire import serve; serve({pinned!r})"
        bridge = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"AGENTMESH_HOME": str(path.parent)},
        )
        output, _ = await bridge.communicate(b"AMP1\x05liar!AMC1")
        assert output == b"welcome"
    assert peers == [(b"", pinned)]


@pytest.mark.parametrize(
    ("raw", "ends"),
    [
        (b"AMC1" + (ipc.LARGEST_REQUEST + 1).to_bytes(4, "big"), False),
        (b"AMC1\xff\xff\xff\xff", False),
        (b"AMC1\0\0\0\x01/", False),
        (b"AMC1\0\0\0\x09/", True),
        (b"AM", True),
    ],
)
async def test_a_request_that_no_command_makes_ends_its_own_connection_alone(
    path: Path, raw: bytes, *, ends: bool
) -> None:
    async with agent(path, echo), asyncio.timeout(5):
        reader, writer = await ipc.connect(path)
        writer.write(raw)
        if ends:
            writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert await ipc.ask(path, "still", "here") == b"still|here"


# notify-pane, which speaks the same without importing it.


async def _notify(path: Path, *words: str, given: int = subprocess.DEVNULL) -> asyncio.subprocess.Process:
    environment = {"AGENTMESH_HOME": str(path.parent), "AGENT_NAME": "me", "SECRET": "s", "HOME": str(path.parent)}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", notify.__file__, *words),
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=path.parent,
    )


async def test_notify_pane_hands_over_its_words_and_ends_as_the_agent_says(path: Path) -> None:
    heard: list[Request] = []

    async def refuse(request: Request, answer: Answer) -> None:
        heard.append(request)
        await answer.write_output("out é\n")
        await answer.write_error("error\n")
        await answer.exit(3)

    async with agent(path, refuse):
        command = await _notify(path, "review", "two\nlines")
        output, error = await command.communicate()
    assert (output, error, command.returncode) == ("out é\n".encode(), b"error\n", 3)
    assert heard[0].words == ["notify-pane", "review", "two\nlines"]
    assert heard[0].folder == path.parent
    assert heard[0].environment == {"AGENT_NAME": "me"}


async def test_standard_input_is_read_when_asked_for_and_only_so_much(path: Path) -> None:
    heard: list[bytes] = []

    async def ask_for_input(_: Request, answer: Answer) -> None:
        heard.append(await answer.read_input(5))
        await answer.exit(0)

    async with agent(path, ask_for_input):
        for given in (b"", b"12345", b"1234567890"):
            command = await _notify(path, "review", "-", given=subprocess.PIPE)
            await command.communicate(given)
            assert command.returncode == 0
    assert heard == [b"", b"12345", b"123456"]


async def test_a_command_that_sends_more_input_than_asked_is_refused(path: Path) -> None:
    failures: list[Exception] = []

    async def ask_for_input(_: Request, answer: Answer) -> None:
        try:
            await answer.read_input(5)
        except ProtocolError as error:
            failures.append(error)

    async with agent(path, ask_for_input):
        reader, writer = await ipc.connect(path)
        writer.write(b"AMC1\0\0\0\x04/\0\0x" + (7).to_bytes(4, "big") + b"1234567")
        assert (await reader.read()).startswith(b"i")
        writer.close()
    assert len(failures) == 1


async def test_notify_pane_does_not_take_a_lost_agent_for_success(path: Path) -> None:
    async def vanish(_: Request, answer: Answer) -> None:
        await answer.write_output("half")

    async with agent(path, vanish):
        command = await _notify(path, "review", "hi")
        _, error = await command.communicate()
    assert command.returncode == 7
    assert b"went away" in error
