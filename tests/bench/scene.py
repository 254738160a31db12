"""Where it is measured: two namespaced hosts with an agent each, and panes that run `cat`.

Their homes are in memory: a commit costs its transaction here, but not the disk's part of it.
"""

import compileall
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import agentmesh
from tests.e2e.hosts import Host, Network
from tests.e2e.namespaces import wait_until

SESSION = "bench"
_READER = "reader"
_TYPED = "typed"
_NOTIFY = Path(".agents/bin/notify-pane")
_CONTROL = Path("/run/control")


@dataclass(frozen=True, slots=True)
class Scene:
    """Two hosts whose agents know each other's panes. Everything is run on `here`."""

    here: Host
    there: Host

    @property
    def notify(self) -> str:
        """The path of notify-pane."""
        return str(self.here.home / _NOTIFY)

    @property
    def control(self) -> str:
        """The path of the control socket of an ssh connection that stays open to the other host."""
        return str(_CONTROL)

    @property
    def typed(self) -> str:
        """The tmux target of the pane that the baselines type into, on either host."""
        return f"{SESSION}:{_TYPED}"

    @staticmethod
    def address(host: Host) -> str:
        """Return the address of the pane that messages go to."""
        return f"{host.name}-{SESSION}-{_READER}"

    @staticmethod
    def expect_lines(host: Host, ending: str, number: int) -> None:
        """See that so many lines of the pane that messages go to end like this. Raises TimeoutError."""

        def have_come() -> bool:
            screen = host.run("tmux", "capture-pane", "-p", "-J", "-S", "-", "-t", f"{SESSION}:{_READER}").stdout
            return sum(line.endswith(ending) for line in screen.splitlines()) == number

        wait_until(have_come, f"{number} lines on {host.name} end with {ending!r}")


@contextmanager
def two_hosts() -> Iterator[Scene]:
    """Make two hosts whose agents are warm, and end them."""
    # An installed package comes compiled; inside the hosts the checkout can't be written to.
    compileall.compile_dir(Path(agentmesh.__file__).parent, quiet=1)
    with Network() as network:
        here, there = (network.add_host(name) for name in ("hub", "worker-1"))
        use_default_key_exchange(there)
        for host, peer in ((here, there), (there, here)):
            _start_agent(host, peer)
        here.run("ssh", "-fNM", "-S", _CONTROL, there.name)
        scene = Scene(here, there)
        _await_panes(scene)
        yield scene


def use_default_key_exchange(host: Host) -> None:
    """Start its sshd anew without the cheap key exchange of the tests: a cold ssh shall cost what it costs people."""
    host.stop_sshd()
    config = host.outside("/run/sshd_config")
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("KexAlgorithms")))
    host.start_sshd()


def _start_agent(host: Host, peer: Host) -> None:
    folder = host.outside(".agents")
    folder.mkdir(mode=0o700)
    (folder / "self.conf").write_text(f"{host.name}\n")
    (folder / "peers.conf").write_text(f"{peer.name}\n")
    host.run("tmux", "new-session", "-d", "-s", SESSION, "-n", _READER, "cat")
    host.run("tmux", "new-window", "-d", "-t", SESSION, "-n", _TYPED, "cat")
    host.start(sys.executable, "-m", "agentmesh", "run", cwd=Path(agentmesh.__file__).parents[1])


def _await_panes(scene: Scene) -> None:
    def are_listed() -> bool:
        listed = scene.here.run(scene.notify, "--list", check=False).stdout.splitlines()
        return {scene.address(scene.here), scene.address(scene.there)} <= set(listed)

    wait_until(lambda: scene.here.outside(_NOTIFY).exists() and are_listed(), "hub's agent lists the panes of both")
