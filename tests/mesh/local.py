"""A host on this machine: a home, a tmux server and an agent of its own, reached by loopback alone."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from agentmesh.core.model import Receipt
from agentmesh.core.status import Status
from tests.asking import Asking
from tests.eventually import eventually
from tests.tmux import RealTmux

STOP_SECONDS = 15.0


class LocalHost:
    """The agent runs from ``start`` on; ``end`` stops all that was started."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.program = ("agentmesh", "run")
        self.home = root / name
        self.agents = self.home / ".agents"
        self.agents.mkdir(parents=True, mode=0o700)
        self.asking = Asking(self.agents)
        (self.agents / "self.conf").write_text(f"{name}\n")
        (self.agents / "config.toml").write_text('[listen]\naddress = "127.0.0.1:0"\n')
        self.tmux = RealTmux(self.home, self.home)
        self.environment = self.tmux.environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.tmux.run("new-session", "-d", "-s", "dev", "-n", "first", "-x", "100", "-y", "30", "cat")
        self._agent: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the agent has written."""
        return (self.home / "agent.out").read_text()

    def start(self) -> None:
        """Run the agent, and wait until it answers."""
        self._agent = self.popen(*self.program)
        has_listener = "[listen]" in (self.agents / "config.toml").read_text()
        ready = self.asking.listens if has_listener else self.asking.answers
        eventually(ready, "the agent is ready", lambda: self.log)

    def popen(self, *words: str, environment: Mapping[str, str] = {}) -> subprocess.Popen[bytes]:
        """Start a program, which writes to the log."""
        with (self.home / "agent.out").open("ab") as log:
            return subprocess.Popen(
                words, env={**self.environment, **environment}, cwd=self.home, stdout=log, stderr=log
            )

    def wait(self) -> int:
        """Wait until the agent has ended; return its exit code."""
        assert self._agent is not None
        return self._agent.wait(STOP_SECONDS)

    def kill(self) -> None:
        """End the agent as a crash does."""
        assert self._agent is not None
        self._agent.kill()
        self._agent.wait(STOP_SECONDS)

    def end(self) -> None:
        """Stop the agent and the tmux server."""
        try:
            if self._agent is not None and self._agent.poll() is None:
                self._agent.terminate()
                self._agent.wait(STOP_SECONDS)
        finally:
            if self._agent is not None:
                self.kill()
            self.tmux.end()

    def run(
        self, *words: str, stdin: bytes = b"", environment: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this host's user."""
        done = subprocess.run(
            words,
            env={**self.environment, **environment},
            cwd=self.home,
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())

    def notify(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run notify-pane."""
        return self.run("notify-pane", *words, environment=environment)

    def receipt(self, *words: str) -> Receipt:
        """Run notify-pane and return its receipt."""
        return msgspec.json.decode(self.notify(*words, "--json").stdout, type=Receipt)

    def addresses(self) -> list[str]:
        """Return every address that this host knows."""
        return self.asking.addresses()

    def status(self) -> Status:
        """Return what the agent says of itself."""
        return self.asking.status()

    def all_up(self, but: Collection[str] = ()) -> bool:
        """Tell whether the agent has dialled each of its peers, but these."""
        return all(peer.state == "up" for peer in self.status().peers if peer.host not in but)

    def keep_port(self) -> None:
        """Let the agent listen on the port that it has now when it starts again."""
        (self.agents / "config.toml").write_text(f'[listen]\naddress = "{self.status().listening}"\n')

    def registry(self) -> dict[str, dict[str, dict[str, object]]]:
        """Return what registry.toml says."""
        return tomllib.loads((self.agents / "registry.toml").read_text())

    def open(self, window: str, *command: str | Path) -> str:
        """Open a window, wait until it is registered, and return its pane's id."""
        pane = self.tmux.new_window(window, *map(str, command))
        address = f"{self.name}-dev-{window}"
        eventually(lambda: address in self.addresses(), f"{address} is registered", self.addresses)
        return pane


def know(host: LocalHost, other: LocalHost) -> None:
    """Let a host reach another, whose agent runs, by its name, and know its host key."""
    folder = host.home / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    port = other.status().listening.rpartition(":")[2]
    with (folder / "config").open("a") as file:
        file.write(f"Host {other.name}\n  HostName 127.0.0.1\n  Port {port}\n")
    with (folder / "known_hosts").open("a") as file:
        file.write(f"[127.0.0.1]:{port} {(other.agents / 'key.pub').read_text()}")


def befriend(hosts: Sequence[LocalHost], apart: Collection[set[str]] = (), deaf: Collection[str] = ()) -> None:
    """Make hosts whose agents run each other's peers, with links between all but those pairs that are to stay apart.

    Nobody can dial those that are ``deaf``.
    """
    ports = {host.name: host.status().listening.rpartition(":")[2] for host in hosts}

    def can_dial(one: str, other: str) -> bool:
        return other != one and other not in deaf and {one, other} not in apart

    def is_linked(one: str, other: str) -> bool:
        return can_dial(one, other) or can_dial(other, one)

    for host in hosts:
        folder = host.home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        keys = {other.name: (other.agents / "key.pub").read_text() for other in hosts}
        dialled = [name for name in keys if can_dial(host.name, name)]
        (folder / "config").write_text(
            "".join(
                f"Host {name}\n  HostName 127.0.0.1\n  Port {ports[name]}\n  IdentityFile {host.agents}/key\n"
                for name in dialled
            )
        )
        (folder / "known_hosts").write_text("".join(f"[127.0.0.1]:{ports[name]} {keys[name]}" for name in dialled))
        (host.agents / "authorized_keys").write_text(
            "".join(key for name, key in keys.items() if can_dial(name, host.name))
        )
        (host.agents / "peers.conf").write_text("".join(f"{name}\n" for name in keys if name != host.name))
    for host in hosts:
        host.asking.sync()
    for host in hosts:
        far = {other.name for other in hosts if not is_linked(host.name, other.name)}
        eventually(lambda host=host, far=far: host.all_up(far), f"{host.name} has links", host.status)  # type: ignore[misc]
