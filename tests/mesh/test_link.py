"""One link, both ends of it in the test: how it is parted from, found dead, and begun by invitation."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from agentmesh.agent.link import Link
from agentmesh.agent.openings import Openings
from agentmesh.agent.relay import join
from agentmesh.agent.stream import FrameStream
from agentmesh.core.session import Session
from agentmesh.core.wire import Bye, Hello, Invite, Ready, encode
from agentmesh.errors import LinkRefused, ProtocolError

Ends = tuple[FrameStream, FrameStream]


async def connected() -> Ends:
    """Return both ends of a conversation."""
    one, other = socket.socketpair()
    return FrameStream(*await asyncio.open_connection(sock=one)), FrameStream(
        *await asyncio.open_connection(sock=other)
    )


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    both = await connected()
    yield both
    for end in both:
        end.close()


def a_link(stream: FrameStream, via: str = "") -> Link:
    peer = Hello(host="worker", version="1")
    return Link(Session(own=Hello(host="hub", version="1"), begins=True, peer=peer, via=via), stream)


async def test_what_was_sent_before_a_bye_is_read_and_nothing_is_sent_after_it(ends: Ends) -> None:
    link, far_end = a_link(ends[0]), ends[1]
    await link.part("enough", awaited=True)
    with pytest.raises(ConnectionError):
        await link.send(Ready(1))
    assert await far_end.read() == Bye("enough", awaited=True)
    await far_end.send(Ready(2))
    assert await link.read() == Ready(2)


async def test_a_link_whose_other_end_is_silent_is_cut_when_it_is_checked(ends: Ends) -> None:
    link = a_link(ends[0])
    reading = asyncio.ensure_future(link.read())
    await link.check(0.05)
    with pytest.raises(TimeoutError, match="answers no more"):
        await reading


async def test_a_link_whose_other_end_answers_lives(ends: Ends) -> None:
    link, far_end = a_link(ends[0]), ends[1]
    checking = asyncio.ensure_future(link.check(30))
    await far_end.read()
    link.note_answer()
    await checking
    await far_end.send(Ready(3))
    assert await link.read() == Ready(3)


async def test_an_invited_conversation_is_handed_to_whoever_invited_once(ends: Ends) -> None:
    invited: asyncio.Queue[Invite] = asyncio.Queue()

    async def invite(host: str, invitation: Invite) -> None:
        assert host == "worker"
        await invited.put(invitation)

    openings = Openings(invite)
    opening = asyncio.ensure_future(openings.open("worker"))
    ticket = (await invited.get()).ticket
    hello = Hello(host="worker", version="1", channel="answer", ticket=ticket)
    with pytest.raises(LinkRefused, match="nobody has invited"):
        openings.arrived(Hello(host="other", version="1", channel="answer", ticket=ticket), ends[0])
    openings.arrived(hello, ends[0])
    assert await opening is ends[0]
    for repeated in (hello, Hello(host="worker", version="1", channel="answer")):
        with pytest.raises(LinkRefused, match="nobody has invited"):
            openings.arrived(repeated, ends[1])


async def test_a_relay_carries_both_ways_until_one_end_closes(ends: Ends) -> None:
    near, relays_near = ends
    far, relays_far = await connected()
    relaying = asyncio.ensure_future(join(relays_near, relays_far))
    await near.send(Ready(1))
    assert await far.read() == Ready(1)
    await far.send(Ready(2))
    assert await near.read() == Ready(2)
    far.close()
    await relaying
    relays_far.close()


async def test_a_relay_passes_on_nothing_that_was_said_before_the_way_was_open(ends: Ends) -> None:
    near, relays_near = ends
    far, relays_far = await connected()
    await near.send_bytes(encode(Ready(1)) + encode(Ready(2)))
    assert await relays_near.read() == Ready(1)
    with pytest.raises(ProtocolError, match="before it was answered"):
        await join(relays_near, relays_far)
    far.close()
    relays_far.close()
