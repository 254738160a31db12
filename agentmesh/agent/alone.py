"""The agent's work without a running agent: one command, or one peer's conversation, done in this process."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentmesh.adapters.ipc import SHARED_ENVIRONMENT, Request, ask, connect
from agentmesh.adapters.stdio import standard_streams
from agentmesh.agent.app import assembled
from agentmesh.config import Paths
from agentmesh.errors import AgentmeshError, NoAgent, NotSetUp

INTERRUPTED = 130
"""What a shell has for a command that Ctrl-C ended."""
INTERRUPT_SECONDS = 1.0
"""How long a command may take after Ctrl-C, to take back what waits."""
LAST_SECONDS = 60.0
"""How long what the peer has sent may take to its end when the peer is gone."""
LOOK_SECONDS = 0.5
"""How often it is looked whether an agent runs by now."""


class _StandardAnswer:
    """Answers a command on this process's own streams."""

    def __init__(self) -> None:
        self._interrupted = asyncio.Event()

    def interrupt(self, work: "asyncio.Task[Any] | None") -> None:
        """Take Ctrl-C as the end of waiting, and soon of everything."""
        self._interrupted.set()
        if work is not None:
            asyncio.get_running_loop().call_later(INTERRUPT_SECONDS, work.cancel)

    async def gone(self) -> None:
        await self._interrupted.wait()

    async def write_output(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    async def write_error(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    async def read_input(self, largest: int) -> bytes:
        return await asyncio.to_thread(sys.stdin.buffer.read, largest + 1)


def run_command(words: list[str]) -> int:
    """Do what a command asks, as the agent would; returns the exit code."""
    environment = {name: os.environ[name] for name in SHARED_ENVIRONMENT if name in os.environ}
    if sys.stderr.isatty():
        environment["COLUMNS"] = str(os.get_terminal_size(sys.stderr.fileno()).columns)
    request = Request(Path.cwd(), environment, words, os.getpid())

    async def work() -> int:
        answer = _StandardAnswer()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, answer.interrupt, asyncio.current_task())
        async with assembled(Paths.from_environment()) as agent:
            code = await agent.control.answer(request, answer)
            await agent.postman.settle(LAST_SECONDS)
        await _hand_over(Paths.from_environment())
        return code

    try:
        return asyncio.run(work())
    except asyncio.CancelledError:
        return INTERRUPTED
    except AgentmeshError as error:
        sys.stderr.write(f"{words[0]}: {error}\n")
        return error.exit_code


def serve_peer(paths: Paths, pinned: str) -> int:
    """Hold the conversation with the peer at our standard streams, until it ends or an agent runs here.

    The peer then dials again, and is joined to that agent. Returns the exit code.
    """

    async def work() -> None:
        if not paths.home.exists():
            raise NotSetUp  # a peer that still calls where we were uninstalled must not furnish the home again
        async with assembled(paths) as agent, standard_streams() as (reader, writer):
            agent.tasks.start("scan", agent.scanner.keep_scanning(agent.tasks))
            agent.tasks.start("summarise", agent.links.gossip.keep_summarising(agent.config.sync.interval))
            agent.tasks.start("write the registry", agent.replica.keep_files())
            agent.tasks.start_supervised("watch the settings", agent.membership.keep_watching(dials=False))
            await agent.postman.recover(agent.links)
            conversation = agent.tasks.start("conversation", agent.links.serve(reader, writer, pinned=pinned))
            while not conversation.done() and not await _runs(paths.socket):
                await asyncio.wait({conversation}, timeout=LOOK_SECONDS)
            await agent.postman.close(LAST_SECONDS)
            await _hand_over(paths)

    try:
        asyncio.run(work())
    except AgentmeshError as error:
        sys.stderr.write(f"agentmesh wire: {error}\n")
        return error.exit_code
    return 0


async def _hand_over(paths: Paths) -> None:
    """Leave what waits to an agent that was started meanwhile, and has not seen it come."""
    with suppress(AgentmeshError):
        await ask(paths.socket, "outbox", "take-up")


async def _runs(socket: Path) -> bool:
    """Tell whether an agent answers at a socket."""
    try:
        _, writer = await connect(socket)
    except NoAgent:
        return False
    writer.close()
    return True
