"""What this machine has: who keeps services going here, which tmux servers run, whether an agent does. Only looks."""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import sys
from enum import Enum
from pathlib import Path

import msgspec

from agentmesh.adapters import ipc
from agentmesh.config import Paths, load_config
from agentmesh.errors import AgentmeshError
from agentmesh.install.change import Command

PATIENCE = 20.0
ANSWER_SECONDS = 5.0
"""How long an agent may take to answer; one that hangs is as good as none."""
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
    agent: str
    """The version of the agent that runs; empty when none answers."""
    servers: tuple[Path, ...] = ()
    """The sockets of the tmux servers that run."""

    def asked(self, *command: str) -> str | None:
        """Return what a command prints; None when it fails, or isn't there."""
        try:
            done = run(command)
        except OSError:
            return None
        return done.stdout if done.returncode == 0 else None


def survey(paths: Paths) -> System:
    """Look at this machine. Raises BadConfiguration."""
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
        agent=_agent(paths),
        servers=tuple(path for path in find_sockets(load_config(paths).tmux.servers) if answers(path)),
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


class _Status(msgspec.Struct):
    version: str


def _agent(paths: Paths) -> str:
    async def ask() -> bytes:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await ipc.ask(paths.socket, "status")

    try:
        answer = asyncio.run(ask())
    except (AgentmeshError, OSError):  # a TimeoutError is an OSError
        return ""
    return msgspec.json.decode(answer, type=_Status).version


def answers(path: Path) -> bool:
    """Tell whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PATIENCE)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True
