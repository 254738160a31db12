"""Check the peers: dial each as the agent would, and say at which step that ends. All at once, with a deadline."""

import asyncio
import socket
from collections.abc import Collection, Iterator

from agentmesh import __version__
from agentmesh.adapters.keys import fingerprint
from agentmesh.agent.identities import Identities
from agentmesh.agent.visit import Introduction, visit
from agentmesh.core.finding import Finding, broken, ok, warning
from agentmesh.core.identity import Pin
from agentmesh.core.model import Standing
from agentmesh.core.outcome import LARGEST_SKEW
from agentmesh.errors import (
    AgentmeshError,
    HostKeyUnknown,
    KeyNotTaken,
    LinkRefused,
    NameClash,
    NotInstalled,
    ProtocolError,
)

PEER_SECONDS = 5.0
"""How long a peer may take to answer."""


async def check_peers(peers: Collection[str], identities: Identities, standings: Collection[Standing]) -> list[Finding]:
    """Return what was found of each peer; ``standings`` is what the agent knows of them."""
    if not peers:
        return [warning("peers", "none", "agentmesh peers add ALIAS")]
    known = {standing.host: standing for standing in standings}
    found = await asyncio.gather(*(_check(alias, identities, known.get(alias)) for alias in peers))
    return [finding for findings in found for finding in findings]


async def _check(alias: str, identities: Identities, standing: Standing | None) -> list[Finding]:
    try:
        async with asyncio.timeout(PEER_SECONDS):
            met = await visit(alias, identities.hello("visit"), identities.key.path)
    except (AgentmeshError, TimeoutError) as error:
        return [_unreached(alias, error, standing)]
    pins = {pin for pin in identities.pins if pin.name == alias}
    return [_reached(alias, met), *_version(alias, met), *_clock(alias, met), _identity(alias, met, pins)]


def _reached(alias: str, met: Introduction) -> Finding:
    return ok(f"peer {alias}", f"agentmesh {met.hello.version}; its host key is known, and ours is taken")


def _unreached(alias: str, error: Exception, standing: Standing | None) -> Finding:
    """Return why a peer could not be dialled. One that calls here, or is reached through another, is not lost."""
    found = _explained(alias, error)
    if standing and standing.state == "up":
        return warning(found.name, f"linked, but it can't be dialled from here: {found.seen}", found.remedy)
    if standing and standing.via:
        return warning(found.name, f"reached via {standing.via} alone: {found.seen}", found.remedy)
    return found


def _explained(alias: str, error: Exception) -> Finding:
    """Return at which step dialling a peer has ended, and what to do about it."""
    by_hand = f"find out why with: ssh -v -o BatchMode=yes {alias} true"
    match error:
        case HostKeyUnknown():
            seen, remedy = "its host key isn't known here", f"look at it, and accept it, with: ssh {alias} true"
        case KeyNotTaken():
            seen, remedy = "it takes none of this host's keys", f"ssh-copy-id {alias}"
        case NotInstalled():
            seen, remedy = "agentmesh isn't installed there", f"agentmesh setup {alias}"
        case NameClash():
            seen, remedy = f"it calls itself {error.facts['name']}", str(error.facts["remedy"])
        case LinkRefused():
            seen, remedy = f"it refuses: {error.facts['reason']}", "see what it says, and its `agentmesh log`"
        case ProtocolError():
            seen, remedy = str(error.facts["reason"]), f"see whether its agent is well: ssh {alias} agentmesh doctor"
        case _:
            return _not_connected(alias, error, by_hand)
    return broken(f"peer {alias}", seen, remedy)


def _not_connected(alias: str, error: Exception, by_hand: str) -> Finding:
    match error.__cause__:
        case socket.gaierror():
            seen = "its name has no address"
            remedy = f"give the HostName of Host {alias} in ~/.ssh/config"
        case ConnectionRefusedError():
            seen = "nothing listens at its SSH port"
            remedy = f"start its SSH server, or correct the Port of Host {alias} in ~/.ssh/config"
        case _ if isinstance(error, TimeoutError):
            seen, remedy = f"no answer within {PEER_SECONDS:g} s", by_hand
        case _:
            reason = error.facts.get("reason", error) if isinstance(error, AgentmeshError) else error
            seen, remedy = str(reason), by_hand
    return broken(f"peer {alias}", seen, remedy)


def _version(alias: str, met: Introduction) -> Iterator[Finding]:
    if met.hello.version != __version__:
        seen = f"agentmesh {met.hello.version} there, {__version__} here"
        yield warning(f"version of {alias}", seen, "upgrade the older one, and run `agentmesh install` there")


def _clock(alias: str, met: Introduction) -> Iterator[Finding]:
    if abs(met.skew) > LARGEST_SKEW:
        seen = f"{abs(met.skew):.0f} s {'ahead of' if met.skew > 0 else 'behind'} this host's"
        yield warning(f"clock of {alias}", seen, "on the host that is wrong: sudo timedatectl set-ntp true")


def _identity(alias: str, met: Introduction, pins: Collection[Pin]) -> Finding:
    name = f"identity of {alias}"
    if not pins:
        return warning(name, "claimed when it calls: no key is pinned to it", f"agentmesh peers authorize {alias}")
    if met.hello.key not in {pin.key for pin in pins}:
        seen = f"its key, {fingerprint(met.hello.key) or 'none'}, isn't the one that is pinned to it"
        remedy = f"if that is right: agentmesh peers revoke {alias} && agentmesh peers authorize {alias}"
        return broken(name, seen, remedy)
    return ok(name, "pinned")
