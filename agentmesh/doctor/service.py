"""Check who keeps the agent going, and have it started again where it is gone."""

import asyncio
import os
from collections.abc import Iterator

from agentmesh.core.finding import Finding, ok, warning
from agentmesh.install.block import Marks
from agentmesh.install.change import Start
from agentmesh.install.perform import perform
from agentmesh.install.running import manifest_of
from agentmesh.install.service import ENABLED, LABELS
from agentmesh.install.system import Services, System, run

_USER = ("systemctl", "--user")


def check_service(system: System) -> Finding:
    """See that something starts the agent, and starts it again."""
    if system.services is Services.NONE:
        seen = "nothing here starts the agent again: no user's systemd, launchd or cron was found"
        return warning("service", seen, "after a restart of the machine: agentmesh install")
    if missing := list(_missing(system)):
        return warning("service", f"{system.services.value} doesn't keep {', '.join(missing)}", "agentmesh install")
    return ok("service", f"{system.services.value} keeps the agent going")


def check_lingering(system: System) -> Iterator[Finding]:
    """See that systemd lets the agent go on when its user logs out."""
    if system.services is not Services.SYSTEMD:
        return
    if system.lingers:
        yield ok("lingering", "the agent goes on when you log out")
    else:
        yield warning("lingering", "the agent ends when you log out", "sudo loginctl enable-linger $USER")


async def start_agent(system: System) -> str:
    """Have an agent started that is gone, in the way that install has set up. Returns what was done, if anything.

    Raises InstallFailed.
    """
    if not manifest_of(system.paths).changes:
        return ""
    start = _start_command(system)
    if start and (await asyncio.to_thread(run, start)).returncode == 0:
        return f"had {system.services.value} start the agent"
    command = (os.fspath(system.paths.launcher), "run")
    await asyncio.to_thread(perform, Start(says="start the agent", command=command, socket=system.paths.socket))
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
