"""Check who keeps the agent going and who loads our hooks, as install has set it up; start an agent that is gone."""

import asyncio
import os
from collections.abc import Iterator

from agentmesh.adapters.files import shown_path
from agentmesh.core.finding import Finding, ok, warning
from agentmesh.install.agent import is_current, stop
from agentmesh.install.block import Marks
from agentmesh.install.perform import perform
from agentmesh.install.running import manifest_of
from agentmesh.install.service import ENABLED, LABELS, NOBODY, start
from agentmesh.install.system import Services, System, run
from agentmesh.install.tmux import configurations, loading

_USER = ("systemctl", "--user")


def check_service(system: System) -> Finding:
    """See that something starts the agent, and starts it again."""
    if system.services is Services.NONE:
        return warning("service", NOBODY, "after a restart of the machine: agentmesh install")
    if missing := list(_missing(system)):
        return warning("service", f"{system.services.value} doesn't keep {', '.join(missing)}", "agentmesh install")
    return ok("service", f"{system.services.value} keeps the agent going")


def check_configuration(system: System) -> Iterator[Finding]:
    """See that tmux servers that are started later load our hooks: once, and so that nothing takes them out again."""
    if not manifest_of(system.paths).changes:
        return
    files, having = configurations(system), loading(system)
    if not having:
        yield warning("tmux.conf", "tmux's configuration doesn't load our hooks", "agentmesh install")
    elif len(having) > 1:
        seen = f"our hooks are loaded {len(having)} times: by {', '.join(map(shown_path, having))}"
        yield warning("tmux.conf", seen, "agentmesh install")
    elif having != files[-1:]:
        seen = f"tmux reads {shown_path(files[-1])} after {shown_path(having[0])}, and can lose our hooks there"
        yield warning("tmux.conf", seen, "agentmesh install")
    else:
        yield ok("tmux.conf", f"{shown_path(having[0])} loads our hooks")


def check_lingering(system: System) -> Iterator[Finding]:
    """See that systemd lets the agent go on when its user logs out."""
    if system.services is not Services.SYSTEMD:
        return
    if system.lingers:
        yield ok("lingering", "the agent goes on when you log out")
    else:
        yield warning("lingering", "the agent ends when you log out", "sudo loginctl enable-linger $USER")


async def start_agent(system: System) -> str:
    """Have an agent started in the way that install has set up: in place of one that hangs, or is of other code.

    Returns what was done, if anything. Raises AgentmeshError.
    """
    if is_current(system.agent) or not manifest_of(system.paths).changes:
        return ""
    await stop(system.paths)
    command = _start_command(system)
    if command and (await asyncio.to_thread(run, command)).returncode == 0:
        return f"had {system.services.value} start the agent"
    await asyncio.to_thread(perform, start(system))
    return "started the agent"


def _start_command(system: System) -> tuple[str, ...]:
    match system.services:
        case Services.SYSTEMD:
            return (*_USER, "restart", ENABLED[0])
        case Services.LAUNCHD:
            return ("launchctl", "kickstart", f"gui/{os.getuid()}/{LABELS[0]}")
        case _:
            return ()


def _missing(system: System) -> Iterator[str]:
    match system.services:
        case Services.SYSTEMD:
            for name in ENABLED:
                if system.asked(*_USER, "is-enabled", name) is None:
                    yield name
        case Services.LAUNCHD:
            for label in LABELS:
                if system.asked("launchctl", "print", f"gui/{os.getuid()}/{label}") is None:
                    yield label
        case Services.CRON:
            if Marks.SCRIPT.value[0] not in (system.asked("crontab", "-l") or ""):
                yield "a line of ours"
