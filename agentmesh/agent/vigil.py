"""See which links live: a connection that is dead says nothing, so its other end is asked."""

import asyncio

from agentmesh.agent.link import Link
from agentmesh.agent.tasks import Tasks
from agentmesh.agent.ways import Ways
from agentmesh.errors import Unreachable

WAKE_SECONDS = 1.0
"""How long a link may take to show that it lives, when much speaks for its being dead."""
ANSWER_SECONDS = 2.0
"""How long a frame may stay unanswered until it is asked whether the link lives."""
DOUBT_SECONDS = 4.0
"""How long that question may stay unanswered."""
PING_SECONDS = 5.0
"""How long a host that a person asks for may take to answer."""
CHECK_SECONDS = 15.0
"""How often links are looked at, and how long one may be silent."""
PATIENT_SECONDS = 30.0
"""How long a silent link may take to show that it lives, when nothing speaks for its being dead."""


class Vigil:
    """Watches over the direct links to those who can be asked."""

    def __init__(self, ways: Ways, tasks: Tasks) -> None:
        self._ways = ways
        self._tasks = tasks
        self._doubted: set[str] = set()

    def latency(self, host: str) -> float | None:
        """Return the seconds that a host took to answer when it was last asked over the link that there is."""
        return next((link.latency for link in self._ways.direct(host)), None)

    async def ping(self, host: str) -> float:
        """Return how many seconds a host takes to answer over the direct link that there is. Raises Unreachable."""
        for link in self._ways.direct(host):
            if not link.can_invite:
                raise Unreachable(host=host, reason="its agentmesh is too old to answer pings")
            try:
                return await link.ping(PING_SECONDS)
            except TimeoutError as error:
                raise Unreachable(host=host, reason=f"it has not answered within {PING_SECONDS:g} s") from error
            except OSError as error:
                raise Unreachable(host=host, reason=error) from error
        raise Unreachable(host=host, reason="there is no link to it")

    def check_all(self) -> None:
        """Ask at once over every link: this host has slept, or its network has changed."""
        for link in self._ways.all_direct():
            if link.can_invite:
                self._tasks.start_supervised(f"check {link.host}", link.check(WAKE_SECONDS))

    async def keep_checking(self) -> None:
        """See that the links live that others have dialled: only their side would notice that a connection is dead."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for link in self._ways.all_direct():
                if link.can_invite and not link.is_ours and link.silence > CHECK_SECONDS:
                    self._tasks.start_supervised(f"check {link.host}", link.check(PATIENT_SECONDS))

    def expect_answer(self, link: Link) -> None:
        """Ask over a link that something was sent over, when nothing comes back in a while."""
        if link.can_invite and link.host not in self._doubted:
            self._doubted.add(link.host)
            self._tasks.start_supervised(f"check {link.host}", self._doubt(link))

    async def _doubt(self, link: Link) -> None:
        await asyncio.sleep(ANSWER_SECONDS)
        self._doubted.discard(link.host)
        if link.silence >= ANSWER_SECONDS:
            await link.check(DOUBT_SECONDS)
