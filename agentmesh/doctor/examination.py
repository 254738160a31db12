"""Look a host over: every check, in the order in which a person reads them; then mend what can safely be mended."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from itertools import chain

from agentmesh.adapters.authorized_keys import AuthorizedKeys
from agentmesh.adapters.keys import HostKey
from agentmesh.adapters.mounts import read_mounts
from agentmesh.agent.identities import Identities
from agentmesh.config import Config, Paths, load_alias, load_config, load_peers
from agentmesh.core.finding import Finding, Health, broken
from agentmesh.core.model import Standing
from agentmesh.core.status import Status
from agentmesh.doctor import agent, home, peers, service, tmux
from agentmesh.errors import AgentmeshError, BadConfiguration
from agentmesh.install.agent import ask_status
from agentmesh.install.system import survey


async def examine(paths: Paths) -> list[Finding]:
    """Look at everything."""
    answer = await ask_status(paths)
    config = _config(paths)
    version, hooks, services, mounts, others = await asyncio.gather(
        asyncio.to_thread(tmux.check_version),
        tmux.check_hooks(config.tmux.servers, paths),
        asyncio.to_thread(_check_services, paths, config),
        asyncio.to_thread(read_mounts),
        _check_peers(paths, config, answer.peers if isinstance(answer, Status) else []),
    )
    return [
        version,
        *hooks,
        agent.check_agent(answer),
        agent.check_socket(answer, paths),
        *([tmux.check_folder(answer), *agent.check_brokers(answer)] if isinstance(answer, Status) else []),
        home.check_settings(answer, paths),
        home.check_modes(paths),
        home.check_disk(paths, mounts),
        home.check_registry(paths),
        *services,
        *others,
    ]


async def fix(paths: Paths, findings: Iterable[Finding]) -> list[str]:
    """Mend what can be mended without harm; returns what was done, and what could not be."""
    fixes: Mapping[str, Callable[[], str | Awaitable[str]]] = {
        "hooks": partial(tmux.load_hooks, _config(paths).tmux.servers, paths),
        "socket": partial(agent.remove_socket, paths),
        "modes": partial(home.close_paths, paths),
        "agent": partial(_start_agent, paths),
    }
    wanted = {finding.name.partition(" ")[0] for finding in findings if finding.state is not Health.OK}
    done = []
    for name in (name for name in fixes if name in wanted):
        try:
            did = fixes[name]()
            done.append(did if isinstance(did, str) else await did)
        except (AgentmeshError, OSError) as error:
            done.append(f"{name} could not be mended: {error}")
    return [each for each in done if each]


def _check_services(paths: Paths, config: Config) -> list[Finding]:
    system = survey(paths, config.tmux)
    found = (service.check_configuration(system), service.check_lingering(system))
    return [service.check_service(system), *chain(*found)]


async def _start_agent(paths: Paths) -> str:
    return await service.start_agent(await asyncio.to_thread(survey, paths, _config(paths).tmux))


async def _check_peers(paths: Paths, config: Config, standings: list[Standing]) -> list[Finding]:
    try:
        keys = AuthorizedKeys(paths.sshd_keys, paths.authorized_keys)
        required = config.identity.require_pinned
        identities = Identities(load_alias(paths), HostKey(paths.key), keys, require_pinned=required)
        return await peers.check_peers(load_peers(paths), identities, standings)
    except BadConfiguration as error:
        return [broken("peers", f"they were not looked at: {error}", "first mend what is said above")]


def _config(paths: Paths) -> Config:
    """Return the settings; where they can't be read, which is found by a check of its own, what holds without them."""
    try:
        return load_config(paths)
    except BadConfiguration:
        return Config()
