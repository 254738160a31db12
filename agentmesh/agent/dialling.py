"""Keep a connection to one peer: dialled, held while it lasts, dialled again."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from agentmesh.adapters import ssh
from agentmesh.agent.gate import Gate
from agentmesh.agent.log import log
from agentmesh.agent.tasks import supervised
from agentmesh.errors import AgentmeshError, LinkRefused, NotAdmitted, Unreachable

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 60.0
OUR_FAULT = "a fault of our own; see the log"


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a peer stands."""

    host: str
    state: str
    """``connecting``, ``up``, ``down``, ``refused`` (it was reached, and doesn't let us in, or is another host), or
    ``idle``: it lives, and others keep links to it."""
    since: int
    """Unix seconds: when it came up, or when it was found not to be."""
    reason: str = ""
    """Why it is down, or refuses."""
    via: str = ""
    """The peer through which it is reached meanwhile."""


Hold = Callable[[str, ssh.Connection], Awaitable[str]]
"""Holds the link on a connection for as long as it lasts; returns why it ended, or nothing if another takes its place.
Raises AgentmeshError, OSError."""


def longest_pause(failures: int) -> float:
    """Return how many seconds may pass before a peer is dialled again that could not be reached so often in a row.

    >>> longest_pause(0), longest_pause(3), longest_pause(100_000)
    (0.5, 4.0, 60.0)
    """
    doublings = min(failures, 16)  # a host may be down for weeks, and no float holds as many
    return min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0**doublings)


class Dialler:
    """Dials one peer, but while it spares us that, having dialled itself."""

    def __init__(
        self,
        alias: str,
        key: Path,
        hold: Hold,
        is_spared: Callable[[str], bool],
        goes_on: Callable[[str], bool],
        gate: Gate,
    ) -> None:
        self._alias = alias
        self._key = key
        self._hold = hold
        self._is_spared = is_spared
        self._goes_on = goes_on
        self._gate = gate
        self._wanted = asyncio.Event()
        self._failed = asyncio.Event()
        self._is_up = False
        self.failures = 0
        """How often in a row it could not be reached, since it was last heard to live."""
        self._attempt: asyncio.Timeout | None = None
        self._is_urgent = False
        self._is_in_line = False
        self.status = PeerStatus(host=alias, state="down", since=int(time.time()), reason="not dialled yet")

    @property
    def rests(self) -> bool:
        """Whether it takes a pause that nobody has asked it to end."""
        return self.status.state not in {"connecting", "up"} and not self._wanted.is_set()

    def hurry(self) -> None:
        """Dial at once, where a pause was taken."""
        self._wanted.set()

    def go_first(self) -> None:
        """Dial at once, and before the others that wait to be dialled: somebody waits for the peer."""
        self._is_urgent = self._is_in_line or self._attempt is None
        self.hurry()
        if self._is_in_line:
            self._begin_anew()

    def start_over(self) -> None:
        """Dial at once, also where an attempt is under way: it may have begun in a network that is gone."""
        self.failures = 0
        self.hurry()
        self._begin_anew()

    def _begin_anew(self) -> None:
        if self._attempt is not None and not self._attempt.expired():
            self._attempt.reschedule(asyncio.get_running_loop().time())

    def link_is_up(self) -> None:
        """Note that the connection carries a link."""
        self._is_up = True

    def link_has_ended(self) -> None:
        """Note that the peer was reached until now, whoever had dialled."""
        self.status = msgspec.structs.replace(self.status, since=int(time.time()))

    def give_up(self, reason: str) -> None:
        """Let nobody wait any longer: the peer is dialled no more."""
        self.status = msgspec.structs.replace(self.status, state="down", reason=reason)
        self._failed.set()

    async def failure(self) -> str:
        """Wait until the peer can't be reached, at the next attempt to end; returns why, and since when."""
        await self._failed.wait()
        since = datetime.fromtimestamp(self.status.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{self.status.reason} (down since {since})"

    async def keep_dialling(self) -> None:
        """Dial, hold the link, and dial again after a pause, which grows with each failure, while the link is kept."""
        if self.failures:
            await self._pause()
        while True:
            while self._is_spared(self._alias):
                self._wanted.clear()
                await self._wanted.wait()
            self._wanted.clear()
            end = await self._dial_once()
            if end is None:
                continue
            self.failures = 0 if self._is_up else self.failures + 1
            self._note(*end)
            if not self._is_up:  # a link that was up and has ended is no failure to reach the peer
                self._failed.set()
                self._failed = asyncio.Event()
            if not self._goes_on(self._alias) and not self._wanted.is_set():
                return
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(random.uniform(0, longest_pause(self.failures))):  # noqa: S311 (it spreads load)
                await self._wanted.wait()
        except TimeoutError:
            pass

    async def _dial_once(self) -> tuple[str, str] | None:
        """Hold one link for as long as it lasts; returns how the peer stands then, and why. None: start over."""
        self._is_up = False
        self._note("connecting", self.status.reason)
        with supervised("dialling failed", peer=self._alias):
            try:
                async with AsyncExitStack() as life:
                    connection = await self._connect(life)
                    return ("down", await self._hold(self._alias, connection)) if connection else None
            except NotAdmitted as error:
                return "refused", str(error.facts["reason"])
            except LinkRefused as error:
                return "refused", str(error)
            except Unreachable as error:
                return "down", str(error.facts["reason"])
            except (AgentmeshError, OSError) as error:
                return "down", str(error)
        return "down", OUR_FAULT

    async def _connect(self, life: AsyncExitStack) -> ssh.Connection | None:
        """Return a connection, which ends with ``life``; None when the attempt is to start over. Raises Unreachable."""
        try:
            async with asyncio.timeout(None) as self._attempt, self._place() as stay:
                if self._is_spared(self._alias):
                    return None
                return await life.enter_async_context(ssh.dialled(self._alias, self._key, stay))
        except TimeoutError:
            return None
        finally:
            self._attempt = None

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Callable[[], None]]:
        """Wait in line for the host's gate, but where somebody waits for the peer.

        Yields what is to be told of an answer. One that has answered and is slow keeps its place: to dial others
        meanwhile would make all slower. One that has failed before, and may only seem to answer, doesn't.
        """
        if self._is_urgent:
            self._is_urgent = False
            yield _nothing
            return
        self._is_in_line = True
        try:
            async with self._gate.place() as stay:
                self._is_in_line = False
                yield _nothing if self.failures else stay
        finally:
            self._is_in_line = False

    def _note(self, state: str, reason: str) -> None:
        if state in {"down", "refused"} and reason and reason != self.status.reason:
            log.warning("peer is down", peer=self._alias, reason=reason)
        self.status = msgspec.structs.replace(self.status, state=state, reason=reason)


def _nothing() -> None:
    """Do nothing."""
