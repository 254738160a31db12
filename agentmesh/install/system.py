"""What this machine has: who keeps services going here, which tmux servers run, whether an agent does. Only looks."""

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
from enum import Enum
from pathlib import Path

import msgspec

from agentmesh.adapters.listener import has_listener
from agentmesh.config import Paths, Tmux
from agentmesh.core.status import Status
from agentmesh.install.agent import Silent, ask_status
from agentmesh.install.change import Command

PATIENCE = 20.0
_LINGER = Path("/var/lib/systemd/linger")
"""Holds a file for each user whose services go on after logging out (logind.conf(5), loginctl(1))."""


class Services(Enum):
    """Who starts the agent, and starts it again."""

    SYSTEMD = "systemd"
    LAUNCHD = "launchd"
    CRON = "cron"
    NONE = "nobody"


class System(msgspec.Struct, frozen=True):
    """What was found."""

    user_home: Path
    settings: Path
    """``$XDG_CONFIG_HOME``."""
    paths: Paths
    services: Services
    lingers: bool
    """Whether the user's services go on after logging out."""
    search: tuple[Path, ...]
    """The folders of ``$PATH``."""
    environment: dict[str, str]
    """What a service must be told, because it doesn't come from a login shell."""
    agent: Status | Silent | None
    """What the agent that runs says of itself."""
    servers: tuple[Path, ...] = ()
    """The sockets of the tmux servers that run."""

    def asked(self, *command: str) -> str | None:
        """Return what a command prints; None when it fails, or isn't there."""
        try:
            done = run(command)
        except OSError:
            return None
        return done.stdout if done.returncode == 0 else None


def survey(paths: Paths, tmux: Tmux) -> System:
    """Look at this machine; ``tmux``: the settings that say where its servers are."""
    from agentmesh.adapters.tmux import find_sockets  # noqa: PLC0415 (libtmux is slow, and every command imports this)

    user_home = Path.home()
    return System(
        user_home=user_home,
        settings=Path(os.environ.get("XDG_CONFIG_HOME") or user_home / ".config"),
        paths=paths,
        services=_services(user_home),
        lingers=(_LINGER / pwd.getpwuid(os.getuid()).pw_name).exists(),
        search=tuple(Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder),
        environment=_environment(paths),
        agent=asyncio.run(ask_status(paths)),
        servers=tuple(path for path in find_sockets(tmux.servers) if _runs(path)),
    )


def run(command: Command, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command, with the bus of the user's own systemd within reach. Raises OSError."""
    environment = dict(os.environ)
    runtime = Path(f"/run/user/{os.getuid()}")
    if "XDG_RUNTIME_DIR" not in environment and runtime.is_dir():
        environment["XDG_RUNTIME_DIR"] = os.fspath(runtime)
    try:
        return subprocess.run(
            command, env=environment, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{command[0]} took longer than {PATIENCE:g} s") from error


def _services(user_home: Path) -> Services:
    """Tell who keeps services. One that is of another home than ours, as in a test, must not be touched."""
    if sys.platform == "darwin":
        return Services.LAUNCHD if _is_real(user_home) else Services.NONE
    try:
        manager = run(("systemctl", "--user", "show-environment"))
    except OSError:
        pass
    else:
        if manager.returncode == 0 and f"HOME={user_home}" in manager.stdout.splitlines():
            return Services.SYSTEMD
    return Services.CRON if shutil.which("crontab") and _is_real(user_home) else Services.NONE


def _is_real(user_home: Path) -> bool:
    return user_home == Path(pwd.getpwuid(os.getuid()).pw_dir)


def _environment(paths: Paths) -> dict[str, str]:
    folders = [Path(found).parent for name in ("tmux", "ssh") if (found := shutil.which(name))]
    usual = [Path(folder) for folder in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")]
    told = {"PATH": os.pathsep.join(dict.fromkeys(map(os.fspath, [*folders, *usual])))}
    if folder := os.environ.get("TMUX_TMPDIR"):
        told["TMUX_TMPDIR"] = folder
    if paths.unusual_home:
        told["AGENTMESH_HOME"] = paths.unusual_home
    return told


def _runs(server: Path) -> bool:
    try:
        return has_listener(server)
    except OSError:
        return False
