"""An agent that lies when it relays.

With a file ``alter`` in its home it alters what the end that begins says; with ``pose`` it takes the other end's place,
and writes what it hears there to ``heard``.
"""

import sys
from functools import partial
from pathlib import Path

from agentmesh.__main__ import main
from agentmesh.adapters import tunnel
from agentmesh.agent import relay
from agentmesh.agent.stream import FrameStream
from agentmesh.agent.tunnels import first_bytes, tunnelled

HOME = Path.home()
carry_truly = relay.join


async def join(one: FrameStream, other: FrameStream) -> None:
    """Take the other end's place, if that is asked for; else carry bytes, not always as they came."""
    if (HOME / "pose").exists():
        await pose(one)
    else:
        await carry_truly(Altering(one), other)


async def pose(one: FrameStream) -> None:
    """Be the end that was asked for."""
    answer = partial(tunnel.answered, HOME / ".agents" / "key")
    async with tunnelled(one, answer, await first_bytes(one)) as (stream, _):
        while frame := await stream.read():
            (HOME / "heard").write_text(repr(frame))


class Altering(FrameStream):
    """What the end that begins says, one bit of it changed."""

    def __init__(self, stream: FrameStream) -> None:
        self._stream = stream

    async def read_bytes(self) -> bytes:
        """Return what comes."""
        data = await self._stream.read_bytes()
        return data[:-1] + bytes([data[-1] ^ 1]) if data and (HOME / "alter").exists() else data

    async def send_bytes(self, data: bytes) -> None:
        """Send what it is."""
        await self._stream.send_bytes(data)


if __name__ == "__main__":
    relay.join = join
    sys.argv = ["agentmesh", "run"]
    main()
