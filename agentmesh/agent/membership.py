"""Who belongs to the mesh, and which keys speak for whom: as the user's files say, from the moment they are edited."""

from agentmesh.adapters.watch import edits
from agentmesh.agent.identities import Identities
from agentmesh.agent.links import Links
from agentmesh.agent.log import log
from agentmesh.agent.replication import Replica
from agentmesh.config import Paths, load_peers
from agentmesh.errors import AgentmeshError, BadConfiguration


class Membership:
    """Brings ``peers.conf`` and the ``authorized_keys`` files into force."""

    def __init__(self, paths: Paths, replica: Replica, links: Links, identities: Identities) -> None:
        self._paths = paths
        self._replica = replica
        self._links = links
        self._identities = identities

    async def take_up_peers(self) -> list[str]:
        """Know the hosts of ``peers.conf``, and no others; returns them. Raises BadConfiguration, changing nothing."""
        peers = load_peers(self._paths)
        before = {peer.host for peer in self._links.statuses}
        await self._replica.set_members(peers)
        self._links.set_peers(peers)
        if set(peers) - before:
            self._links.gossip.summarise()  # what was told of them until now was ignored
        return peers

    async def take_up_keys(self) -> None:
        """Go by the keys that are pinned now: conversations that would be refused are cut when this returns."""
        if changed := await self._identities.refresh():
            await self._replica.reconsider(changed)
            self._links.gossip.summarise()

    async def keep_watching(self, *, dials: bool) -> None:
        """Do both when the files are edited; ``dials``: call new peers at once."""
        async for changed in edits((self._paths.peers, *self._identities.files.files)):
            try:
                await self.take_up_keys()
                if self._paths.peers in changed:
                    await self._edited(dials=dials)
            except AgentmeshError as error:
                log.error("an edit has no effect", reason=error)

    async def _edited(self, *, dials: bool) -> None:
        before = {peer.host for peer in self._links.statuses}
        if before and not self._paths.peers.exists():
            raise BadConfiguration(path=self._paths.peers, reason="it is gone; the peers known before stand")
        peers = await self.take_up_peers()
        if set(peers) != before:
            log.info("peers have changed", peers=" ".join(peers) or "none")
        if dials and {peer.host for peer in self._links.statuses} - before:
            self._links.dial_all()
