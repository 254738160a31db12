"""What `agentmesh peers` asks for: who belongs to the mesh, who is let in under which name, and how each answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agentmesh.adapters.files import PRIVATE_FILE, replace, shown_path
from agentmesh.adapters.ipc import Request
from agentmesh.adapters.keys import fingerprint, read_public_key
from agentmesh.agent.answer import Answer, as_json, without_json
from agentmesh.agent.dialling import PeerStatus
from agentmesh.agent.identities import Identities
from agentmesh.agent.links import Links
from agentmesh.agent.membership import Membership
from agentmesh.agent.postman import Postman
from agentmesh.agent.replication import Replica
from agentmesh.agent.visit import Introduction, visit
from agentmesh.config import Config, Paths, is_alias, load_peers, with_peer, without_peer
from agentmesh.core.authorized_keys import forced_command
from agentmesh.core.identity import Pin
from agentmesh.core.model import Standing
from agentmesh.core.outcome import Added, Authorized, Failed, Outcome, Pinged, Removed, Revoked
from agentmesh.core.text import printable
from agentmesh.core.wire import Hello
from agentmesh.errors import (
    AgentmeshError,
    BadAlias,
    BadConfiguration,
    BadKey,
    NameClash,
    NotPinned,
    UnknownPeer,
    Unreachable,
    UsageError,
)


class Peers:
    """Answers the commands about peers."""

    def __init__(
        self,
        paths: Paths,
        config: Config,
        alias: str,
        replica: Replica,
        links: Links,
        identities: Identities,
        membership: Membership,
        postman: Postman,
    ) -> None:
        self._paths = paths
        self._config = config
        self._alias = alias
        self._replica = replica
        self._links = links
        self._identities = identities
        self._membership = membership
        self._postman = postman

    async def run(self, request: Request, answer: Answer) -> int:
        """``peers list``, ``add|remove|ping ALIAS…``, ``authorize NAME KEY`` and ``revoke NAME``; with ``--json`` too.

        KEY is a public key's text, or empty: the key that the host itself tells.
        """
        words, in_json = without_json(request.words[1:])
        match words:
            case ["list"]:
                await answer.write_output(as_json(self.standings()))
            case ["add", *aliases] if aliases:
                return await self._each(aliases, self._add, answer, in_json=in_json)
            case ["remove", *aliases] if aliases:
                return await self._each(aliases, self._remove, answer, in_json=in_json)
            case ["ping", *aliases]:
                named = aliases or [peer.host for peer in self.standings()]
                return await self._each(named, self._ping, answer, in_json=in_json)
            case ["authorize", name, key]:
                await answer.write_output(_told(await self._authorize(name, key), in_json=in_json))
            case ["revoke", name]:
                await answer.write_output(_told(await self._revoke(name), in_json=in_json))
            case _:
                raise UsageError(reason="Say list, add, remove, ping, authorize or revoke.", program="agentmesh peers")
        return 0

    @staticmethod
    async def _each(
        aliases: list[str], act: Callable[[str], Awaitable[Outcome]], answer: Answer, *, in_json: bool
    ) -> int:
        """Do something for each alias, and tell what became of it; the exit code is the worst."""

        async def attempted(alias: str) -> Outcome:
            try:
                return await act(alias)
            except AgentmeshError as error:
                return Failed(host=alias, error=str(error), exit_code=error.exit_code)

        done = await asyncio.gather(*map(attempted, aliases))
        if in_json:
            await answer.write_output(as_json(done))
        for outcome in done:
            if isinstance(outcome, Failed):
                await answer.write_error(f"peers: {outcome}\n")
            elif not in_json:
                await answer.write_output(f"{outcome}\n")
        return max((outcome.exit_code for outcome in done if isinstance(outcome, Failed)), default=0)

    def standings(self) -> list[Standing]:
        """Return how each peer stands, and each host that calls though it is none."""
        statuses = {status.host: status for status in self._links.statuses}
        return [
            self._standing(host, statuses.get(host)) for host in [*statuses, *sorted(self._callers - set(statuses))]
        ]

    @property
    def _callers(self) -> set[str]:
        return {host for host in self._identities.hosts if self._links.has_link(host)}

    def _standing(self, host: str, status: PeerStatus | None) -> Standing:
        conversation = next(iter(self._identities.with_host(host)), None)
        hello = conversation.peer if conversation else None
        return Standing(
            host=host,
            state=status.state if status else "up",
            since=status.since if status else 0,
            reason=status.reason if status else f"it calls, and isn't in peers.conf: `agentmesh peers add {host}`",
            via=status.via if status else "",
            identity=conversation.origin.identity if conversation else "",
            pins=sorted(fingerprint(pin.key) for pin in self._identities.pins if pin.name == host),
            version=printable(hello.version) if hello else "",
            key=fingerprint(hello.key) if hello else "",
            latency=self._links.vigil.latency(host),
        )

    async def _add(self, alias: str) -> Added:
        """Make a host a peer, when it can be reached and is what its alias says; otherwise nothing is changed."""
        self._check(alias)
        peers = load_peers(self._paths)
        try:
            introduction = await self._visit(alias)
        except NameClash as error:
            if error.facts["name"] in peers:
                error.facts["remedy"] = "it is a peer already, under its name"
            raise
        self._edit_peers(lambda text: with_peer(text, alias))
        await self._membership.take_up_peers()
        self._links.dial(alias)
        return Added(host=alias, skew=introduction.skew, **_described(introduction.hello))

    async def _remove(self, alias: str) -> Removed:
        """Forget a host: its line, its panes, its links, its pins; end the messages that wait for it."""
        self._check(alias)
        pinned = any(pin.name == alias for pin in self._identities.pins)
        known = {*load_peers(self._paths), *self._replica.registry, *self._identities.hosts}
        if alias not in known and not pinned:
            raise UnknownPeer(alias=alias)
        holders = self._links.gossip.holders(alias)
        self._edit_peers(lambda text: without_peer(text, alias))
        keys = self._identities.files.unpin(alias)
        await self._membership.take_up_peers()
        await self._membership.take_up_keys()
        await self._identities.cut(alias, f"{self._alias} has removed it from its mesh")
        ended = await self._postman.give_up(alias)
        await self._replica.write_files()
        return Removed(host=alias, keys=keys, ended=ended, holders=list(holders))

    async def _ping(self, alias: str) -> Pinged:
        """Measure the round trip to a host over the link that there is."""
        self._check(alias)
        statuses = {status.host: status for status in self._links.statuses}
        if alias not in statuses and alias not in self._callers:
            raise UnknownPeer(alias=alias)
        if alias not in self._callers:
            raise Unreachable(host=alias, reason=statuses[alias].reason or statuses[alias].state)
        seconds = await self._links.vigil.ping(alias)
        conversation = next(iter(self._identities.with_host(alias)), None)
        if conversation is None or conversation.peer is None:
            raise Unreachable(host=alias, reason="the link broke just now")
        return Pinged(
            host=alias,
            latency=seconds,
            identity=conversation.origin.identity,
            skew=conversation.skew,
            **_described(conversation.peer),
        )

    async def _authorize(self, name: str, key: str) -> Authorized:
        """Pin a key to a host's name; without one, the key that the host tells when it is dialled."""
        self._check(name)
        line = read_public_key(key) if key else await self._told_key(name)
        if line == self._identities.key.public:
            raise BadKey(reason=f"it is this host's own; give the key.pub of {name}")
        others = {pin.key for pin in self._identities.files.pins() if pin.name == name} - {line}
        if others:
            have = ", ".join(sorted(map(fingerprint, others)))
            raise BadKey(reason=f"{name} has another, {have}; run `agentmesh peers revoke {name}` first")
        files = self._identities.files
        file = files.of_agent if self._config.listen.address else files.of_sshd
        command = forced_command(str(self._paths.launcher), self._paths.unusual_home, name)
        is_new = files.pin(file, Pin(name, line), command)
        await self._membership.take_up_keys()
        is_peer = name in load_peers(self._paths)
        return Authorized(host=name, key=fingerprint(line), is_new=is_new, file=shown_path(file), is_peer=is_peer)

    async def _visit(self, alias: str) -> Introduction:
        return await visit(alias, self._identities.hello("visit"), self._identities.key.path)

    async def _told_key(self, name: str) -> str:
        """Return the key that a host says it has, over a connection whose host key SSH has verified."""
        hello = (await self._visit(name)).hello
        if not hello.key:
            raise BadKey(reason=f"{name} doesn't tell its key; give its ~/.agents/key.pub")
        return read_public_key(hello.key)

    async def _revoke(self, name: str) -> Revoked:
        """Take back what was pinned to a host's name; its conversations on such a key are cut when this returns."""
        self._check(name)
        removed = self._identities.files.unpin(name)
        await self._membership.take_up_keys()
        if not removed:
            raise NotPinned(alias=name)
        return Revoked(host=name, keys=removed, is_peer=name in load_peers(self._paths))

    def _check(self, alias: str) -> None:
        if not is_alias(alias):
            raise BadAlias(alias=alias, reason="use letters, digits, '-', '_' and '.', as in ~/.ssh/config")
        if alias == self._alias:
            raise BadAlias(alias=alias, reason="it is this host's own name")

    def _edit_peers(self, change: Callable[[str], str]) -> None:
        """Change peers.conf, whole or not at all; its mode stays, and a link stays one. Raises BadConfiguration."""
        file = self._paths.peers.resolve()
        try:
            before = file.read_text() if file.exists() else ""
            mode = file.stat().st_mode & 0o777 if file.exists() else PRIVATE_FILE
            replace(file, change(before).encode(), mode)
        except (OSError, UnicodeDecodeError) as error:
            raise BadConfiguration(path=self._paths.peers, reason=error) from error


def _described(hello: Hello) -> dict[str, Any]:
    """Return what a host says of itself, as the fields of an outcome."""
    versions = {"version": printable(hello.version), "oldest": hello.oldest, "newest": hello.newest}
    return {**versions, "key": fingerprint(hello.key)}


def _told(outcome: Outcome, *, in_json: bool) -> str:
    return as_json(outcome) if in_json else f"{outcome}\n"
