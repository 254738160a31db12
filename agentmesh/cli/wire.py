"""agentmesh wire: join a peer at our standard streams to this host's agent; with none running, serve it here."""

import asyncio
import sys

from agentmesh.adapters import ipc
from agentmesh.adapters.stdio import standard_streams
from agentmesh.config import Paths
from agentmesh.errors import AgentmeshError, NoAgent

READ_SIZE = 256 * 1024


def serve() -> int:
    """Hold one conversation to its end; returns the exit code."""
    try:
        asyncio.run(_serve(Paths.from_environment()))
    except AgentmeshError as error:
        sys.stderr.write(f"agentmesh wire: {error}\n")
        return error.exit_code
    return 0


async def _serve(paths: Paths) -> None:
    try:
        agent = await ipc.connect(paths.socket)
    except NoAgent:
        from agentmesh.agent.alone import serve_peer  # noqa: PLC0415 (slow, and only needed here)

        await serve_peer(paths)
        return
    async with standard_streams() as peer:
        await _join(peer, agent)


async def _join(
    peer: tuple[asyncio.StreamReader, asyncio.StreamWriter], agent: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Copy both ways until either side ends."""
    copying = {
        asyncio.ensure_future(_copy(peer[0], agent[1])),
        asyncio.ensure_future(_copy(agent[0], peer[1])),
    }
    _, rest = await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    agent[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(READ_SIZE):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side has ended; so do we
