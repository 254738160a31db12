"""Links to other hosts, as the rest of the agent sees them: reach a host, send it a frame or a file, be called."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from agentmesh.adapters import ssh
from agentmesh.agent.conversations import Conversations, Errands, Mailroom
from agentmesh.agent.dialling import Dialler, PeerStatus
from agentmesh.agent.gate import Gate
from agentmesh.agent.gossip import Gossip
from agentmesh.agent.identities import Identities
from agentmesh.agent.link import Link, greeted
from agentmesh.agent.log import log
from agentmesh.agent.reaching import Reaching
from agentmesh.agent.replication import Replica
from agentmesh.agent.stream import FrameStream, Reader, Writer
from agentmesh.agent.tasks import Tasks, supervised
from agentmesh.agent.vigil import Vigil
from agentmesh.agent.ways import Ways
from agentmesh.core.wire import Frame
from agentmesh.errors import AgentmeshError, LinkRefused, NotInstalled, Unreachable

if TYPE_CHECKING:
    import asyncio

IDLE = "a link is made when there is something to send"


class Links:
    """All conversations of this host with others."""

    def __init__(
        self,
        alias: str,
        replica: Replica,
        mailroom: Mailroom,
        errands: Errands,
        tasks: Tasks,
        identities: Identities,
    ) -> None:
        self._alias = alias
        self._key = identities.key.path
        self._tasks = tasks
        self._diallers: dict[str, Dialler] = {}
        self._gate = Gate()
        self._dialling: dict[str, asyncio.Task[None]] = {}
        self._kept: AbstractSet[str] | None = None
        self._awaited: Counter[str] = Counter()
        self._used: set[str] = set()
        self.on_change: Callable[[], None] = lambda: None
        """Told before everything is looked at again."""
        self._mailroom = mailroom
        self._errands = errands
        self._ways = Ways(alias, replica, tasks, self._lose)
        self._conversations = Conversations(alias, self._ways, mailroom, errands, tasks, identities, self.send)
        self._openings = self._conversations.openings
        self._reaching = Reaching(self._ways, self._conversations, tasks, self._dialled)
        self.vigil = Vigil(self._ways, tasks)

    @property
    def gossip(self) -> Gossip:
        """What is told to the neighbours."""
        return self._ways.gossip

    def has_link(self, host: str) -> bool:
        """Tell whether there is a direct link to a host."""
        return self._ways.has_link(host)

    @property
    def statuses(self) -> list[PeerStatus]:
        """How each peer of peers.conf stands."""
        return [self._status(dialler.status) for dialler in self._diallers.values()]

    def set_peers(self, aliases: list[str]) -> None:
        """Know these peers; leave those that are gone."""
        for alias in self._diallers.keys() - set(aliases):
            self._diallers.pop(alias).give_up("it was removed from peers.conf")
            if task := self._dialling.pop(alias, None):
                task.cancel()
        for alias in aliases:
            if alias != self._alias and alias not in self._diallers:
                spares = self._ways.is_dialled_by
                self._diallers[alias] = Dialler(alias, self._key, self._hold, spares, self._goes_on, self._gate)
        self._conversations.members = self._diallers.keys()

    @property
    def failures(self) -> dict[str, int]:
        """How often in a row each peer could not be dialled since it was last heard to live."""
        return {alias: dialler.failures for alias, dialler in self._diallers.items()}

    @property
    def dialled(self) -> set[str]:
        """The hosts with a link that this host has dialled."""
        return {link.host for link in self._ways.all_direct() if link.is_ours}

    def forgive(self, hosts: AbstractSet[str]) -> None:
        """Forget that these could not be dialled: they live."""
        for host in hosts & self._diallers.keys():
            self._diallers[host].failures = 0

    def keep(self, aliases: AbstractSet[str]) -> None:
        """Keep links to these peers, and to others only while they are used."""
        self._kept = self.gossip.kept = aliases
        for alias in self._dialling.keys() - aliases:
            if self._diallers[alias].rests and not self._keeps(alias):
                self._dialling.pop(alias).cancel()
        for alias in aliases & self._diallers.keys():
            dialler = self._diallers[alias]
            if dialler.rests and not dialler.failures and not self._ways.has_link(alias):
                dialler.hurry()  # it was spared, and isn't any more
            self._start_dialling(alias)

    async def close_idle(self) -> None:
        """Part from those whom this host has dialled on demand, and sent nothing since this was last done."""
        for link in self._ways.all_direct():
            if link.is_ours and link.host not in self._used and not self._keeps(link.host):
                self._ways.remove(link, lost=False)
                await link.part("it isn't needed now", awaited=True)
        self._used.clear()

    def dial(self, host: str) -> None:
        """Dial a peer at once, and before all others, if it is down: somebody waits for it."""
        if dialler := self._diallers.get(host):
            if not self._ways.has_link(host):
                dialler.go_first()
            self._start_dialling(host)

    def dial_all(self) -> None:
        """Dial, a few at a time, all peers that links are kept to and that are down."""
        for alias in tuple(self._diallers if self._kept is None else self._diallers.keys() & self._kept):
            if not self._ways.has_link(alias):
                self._diallers[alias].hurry()
            self._start_dialling(alias)

    def _dialled(self, host: str) -> Dialler | None:
        """Dial a host at once, if it is a peer."""
        self.dial(host)
        return self._diallers.get(host)

    def _start_dialling(self, alias: str) -> None:
        task = self._dialling.get(alias)
        if task is None or task.done():
            self._dialling[alias] = self._tasks.start(f"dial {alias}", self._diallers[alias].keep_dialling())

    def _goes_on(self, host: str) -> bool:
        """Tell whether a host that could not be dialled, or whose link has ended, is to be dialled again."""
        self.gossip.links_changed()
        return self._keeps(host)

    def _keeps(self, host: str) -> bool:
        return self._kept is None or host in self._kept or host in self._awaited

    async def reach(self, host: str) -> None:
        """Have a link to a host, direct or through another host, dialling it if need be. Raises Unreachable."""
        self._used.add(host)
        await self._reaching.reach(host)

    async def wait_for_link(self, host: str) -> None:
        """Wait until there is a link to a host, whoever dials, or a neighbour has one that might relay."""
        self._awaited[host] += 1
        try:
            if host in self._diallers:
                self._start_dialling(host)
            await self._ways.until(lambda: bool(self._ways.best(host) or self._ways.relays(host)))
        finally:
            self._awaited -= Counter([host])

    async def send(self, host: str, frame: Frame) -> None:
        """Send a frame to a host, by the best way there is. Raises Unreachable."""
        await self.reach(host)
        self.vigil.expect_answer(await self._ways.send(host, frame))

    def sync(self) -> None:
        """Dial every peer that is down, and trade summaries with the others."""
        self.on_change()
        self.dial_all()
        self.gossip.summarise()

    def wake(self) -> None:
        """See at once which links live, and dial what is down: this host has slept, or its network has changed."""
        for alias in self._dialling:
            self._diallers[alias].start_over()
        self.vigil.check_all()

    @asynccontextmanager
    async def drop_conversation(self, host: str) -> AsyncIterator[FrameStream]:
        """Begin a conversation for one file with a host, by the best way that there is. Raises Unreachable."""
        stream, session = await self._reaching.begin(host, "drop")
        try:
            async with self._conversations.held(stream, await greeted(stream, session)):
                yield stream
        except LinkRefused as error:
            raise Unreachable(host=host, reason=error.facts["reason"]) from error
        except OSError as error:
            raise Unreachable(host=host, reason="the link broke during the transfer") from error
        finally:
            stream.close()

    async def serve(self, reader: Reader, writer: Writer, begun: bytes = b"", pinned: str = "") -> None:
        """Hold the conversation that a peer has begun, with a key that is pinned to a name, or to none."""
        stream = FrameStream(reader, writer, begun)
        with supervised("conversation failed"):
            try:
                await self._conversations.serve(stream, pinned=pinned)
            except (AgentmeshError, OSError) as error:
                log.warning("conversation ended", reason=error)
            finally:
                stream.close()

    async def _hold(self, alias: str, connection: ssh.Connection) -> str:
        """Hold the link on a connection to its end; returns why it ended, or nothing if another takes its place."""
        with self._openings.using(alias, connection) as opened:
            stream = await self._openings.open_on_connection(alias)
            try:
                session = await greeted(stream, self._conversations.begun(alias))
                self._diallers[alias].link_is_up()
                link = await self._conversations.hold(stream, session)
            except TimeoutError as error:
                connection.abort()
                return str(error)
            except ConnectionError:
                return await self._complaint(alias, connection)
            finally:
                stream.close()
        if not link.has_parted:
            return await self._complaint(alias, connection)
        while under_way := [other for other in opened if not other.closed.is_set()]:
            await under_way[0].closed.wait()
        return ""

    @staticmethod
    async def _complaint(alias: str, connection: ssh.Connection) -> str:
        """Return why a peer has ended a link. Raises NotInstalled when there is no agentmesh."""
        complaint = await connection.complaint() or "it ended the conversation"
        if connection.found_no_program:
            raise NotInstalled(host=alias, reason=f"agentmesh isn't installed there ({complaint})")
        return complaint

    def _lose(self, link: Link) -> None:
        """Ask again for what was on its way over a link; dial, if the other side had dialled it."""
        self._mailroom.link_lost(link.host)
        self._errands.link_lost(link.host)
        dialler = self._diallers.get(link.host)
        if link.via or dialler is None or self._ways.has_link(link.host):
            return
        dialler.link_has_ended()
        if not link.is_ours:
            dialler.hurry()

    def _status(self, status: PeerStatus) -> PeerStatus:
        links = self._ways.best(status.host)
        direct = [link for link in links if not link.via]
        if direct:
            return PeerStatus(host=status.host, state="up", since=direct[0].since)
        if (
            not self._keeps(status.host)
            and status.host in self.gossip.ways
            and not self._diallers[status.host].failures
        ):
            status = msgspec.structs.replace(status, state="idle", reason=IDLE)
        via = links[0].via if links else "".join(self._ways.relays(status.host)[:1])
        return msgspec.structs.replace(status, via=via)
