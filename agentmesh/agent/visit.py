"""A visit: dial a host, be it a peer or not, and hear how it introduces itself."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from agentmesh.adapters import ssh
from agentmesh.agent.stream import FrameStream
from agentmesh.config import is_alias
from agentmesh.core import session as conversation
from agentmesh.core.session import Close, Session
from agentmesh.core.wire import Bye, Hello
from agentmesh.errors import LinkRefused, NameClash, NotInstalled, ProtocolError, Unreachable

VISIT_SECONDS = 15.0
"""How long the other side may take to greet, and to object."""


class Introduction(msgspec.Struct, frozen=True):
    """What a host says of itself."""

    hello: Hello
    skew: float
    """How many seconds its clock was ahead of ours."""


async def visit(alias: str, own: Hello, key: Path) -> Introduction:
    """Trade hellos with a host, over a connection whose host key SSH has verified, and leave.

    Raises Unreachable, NameClash, LinkRefused, ProtocolError.
    """
    async with ssh.dialled(alias, key) as connection:
        stream = FrameStream(*await connection.open_conversation())
        try:
            async with asyncio.timeout(VISIT_SECONDS):
                with suppress(ConnectionError):  # it has ended already: what it has said before tells why
                    await stream.send(own)
                frame = await stream.read()
                heard = time.time()
                if frame is None:
                    reason = await connection.complaint() or "it ended the conversation"
                    if connection.found_no_program:
                        raise NotInstalled(host=alias, reason=f"agentmesh isn't installed there ({reason})")
                    raise Unreachable(host=alias, reason=f"{reason}. Is agentmesh installed there?")
                if isinstance(frame, Hello) and frame.host not in {alias, own.host}:
                    raise _clash(alias, frame.host)
                session, commands = conversation.receive(Session(own=own, begins=True, expected=alias), frame)
                if session.peer is None:
                    raise LinkRefused(reason=next(each.reason for each in commands if isinstance(each, Close)))
                if isinstance(objection := await stream.read(), Bye):
                    raise LinkRefused(reason=f"{alias} said: {objection.reason}")
                skew = session.peer.time - heard if session.peer.time else 0.0
                return Introduction(session.peer, skew)
        except TimeoutError as error:
            raise ProtocolError(reason=f"{alias} has not answered within {VISIT_SECONDS:g} s") from error
        except OSError as error:
            raise Unreachable(host=alias, reason="the connection broke") from error
        finally:
            stream.close()


def _clash(alias: str, name: str) -> NameClash:
    shown = name if is_alias(name) else repr(name)
    remedy = f"write `Host {shown}` into ~/.ssh/config and add {shown}, or put {alias} into its self.conf"
    return NameClash(alias=alias, name=shown, remedy=remedy)
