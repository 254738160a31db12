"""Carry a conversation of two other hosts: bytes both ways, between two conversations of this host."""

import asyncio

from agentmesh.agent.link import greeted
from agentmesh.agent.stream import FrameStream
from agentmesh.core.session import Session
from agentmesh.core.wire import Hello
from agentmesh.errors import AgentmeshError, LinkRefused, Unreachable

ONWARD_SECONDS = 10.0
"""How long the way on to the other host may take to open."""
ANSWER_SECONDS = 15.0
"""How long a relay may take to say whether the way is open: longer than it gives itself."""


async def ask_relay(stream: FrameStream, own: Hello, relay: str) -> None:
    """Have a relay, to which a conversation was begun, open the way that our hello names. Raises Unreachable.

    What is sent from then on is between this host and the other.
    """
    try:
        await greeted(stream, Session(own=own, begins=True, expected=relay), ANSWER_SECONDS)
    except LinkRefused as error:
        raise Unreachable(host=own.to, reason=error.facts["reason"]) from error
    except (AgentmeshError, OSError) as error:
        raise Unreachable(host=own.to, reason=f"{relay} did not open the way ({error})") from error


async def go_on(stream: FrameStream, own: Hello, to: str) -> None:
    """Say to the host that is to be reached who reaches it. Raises LinkRefused, ProtocolError, OSError."""
    await greeted(stream, Session(own=own, begins=True, expected=to), ONWARD_SECONDS)


async def join(one: FrameStream, other: FrameStream) -> None:
    """Carry bytes both ways until either side ends. Raises ProtocolError, OSError."""
    ways = {asyncio.ensure_future(_carry(one, other)), asyncio.ensure_future(_carry(other, one))}
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in done:
            way.result()
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _carry(source: FrameStream, target: FrameStream) -> None:
    while data := await source.read_bytes():
        await target.send_bytes(data)
