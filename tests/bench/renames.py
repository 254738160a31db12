"""The figures of a rename: from the tmux command to every host's registry.toml, over real sshds.

Homes are in memory: a commit costs its transaction here, but not the disk's part of it.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.figure import Spread
from tests.bench.scene import use_default_key_exchange
from tests.bench.table import row
from tests.e2e.hosts import Host, Network
from tests.e2e.namespaces import SYSTEM_PATH, wait_until

ROUNDS = 200
WARM_UPS = 5
TARGET_SECONDS = 0.1
"""That 99 of 100 renames are known everywhere within, besides the time on the wire."""
_PATIENCE = 10.0
_REGISTRY = Path(".agents/registry.toml")
_FRAGMENTS = Path("/tmp/fragments")  # noqa: S108 (of a host that is private)


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is measured."""

    name: str
    hosts: int
    delay: float = 0.0
    """Milliseconds that a frame takes from one host to another."""
    is_chain: bool = False
    """Whether each host reaches the next alone."""

    @property
    def target(self) -> float:
        """Seconds."""
        crossings = self.hosts - 1 if self.is_chain else 1
        return TARGET_SECONDS + crossings * self.delay / 1000


PLACES = (
    Place("rename → every registry.toml, 3 hosts", 3),
    Place("the same, 10 ms one way", 3, delay=10),
    Place("rename → every registry.toml, chain of 5", 5, is_chain=True),
    Place("the same, 10 ms one way between any two", 5, delay=10, is_chain=True),
)


def present(place: Place) -> Iterator[str]:
    """Measure in a place, and yield the table's lines."""
    with _mesh(place) as hosts:
        spread = Spread.of(_renamed(hosts))
        target = f"≤ {place.target * 1000:.0f}"
        yield ""
        yield row(place.name, spread, "", target, "yes" if spread.most <= place.target else "NO")
        if not place.is_chain:
            yield row("  rsync of each peer's fragment, cold ssh", Spread.of(_fetched(hosts)))


def _renamed(hosts: Sequence[Host]) -> list[float]:
    """Rename a window again and again; return how long each took to be in the last registry.toml."""
    socket = next(hosts[0].outside("/tmp").glob("tmux-*/default"))  # noqa: S108 (of a host that is private)
    files = [host.outside(_REGISTRY) for host in hosts]
    taken = []
    for number in range(WARM_UPS + ROUNDS):
        address = f"{hosts[0].name}-dev-n{number}]".encode()
        began = time.perf_counter()
        subprocess.run(
            ["tmux", "-S", socket, "rename-window", "-t", "dev:0", f"n{number}"],
            check=True,
            env={"PATH": SYSTEM_PATH},
            capture_output=True,
        )
        _wait(files, address)
        taken.append(time.perf_counter() - began)
    return taken[WARM_UPS:]


def _wait(files: Sequence[Path], address: bytes) -> None:
    """Return when every file has a text, looked for about a thousand times a second. Raises TimeoutError."""
    deadline = time.monotonic() + _PATIENCE
    pending = dict.fromkeys(files, 0)
    while pending:
        for file, seen in list(pending.items()):
            changed = file.stat().st_mtime_ns
            if changed != seen:
                pending[file] = changed
                if address in file.read_bytes():
                    del pending[file]
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {_PATIENCE:g} s in vain until every registry.toml has {address!r}.")
        time.sleep(0.0005)


def _fetched(hosts: Sequence[Host]) -> list[float]:
    """Fetch each peer's fragment, as a tool without an agent would; return how long that took each time."""
    here, *others = hosts
    here.outside(_FRAGMENTS).mkdir()
    script = "\n".join(f"rsync -q {other.name}:.agents/local.toml {_FRAGMENTS}/{other.name}" for other in others)
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        here.run("sh", "-ec", script)
        taken.append(time.perf_counter() - began)
    return taken


@contextmanager
def _mesh(place: Place) -> Iterator[list[Host]]:
    """Make hosts whose agents are warm, and know each other's windows."""
    names = [f"h{number}" for number in range(place.hosts)]
    with Network() as network:
        hosts = [network.add_host(name) for name in names]
        for number, host in enumerate(hosts):
            use_default_key_exchange(host)
            folder = host.outside(".agents")
            folder.mkdir(mode=0o700)
            (folder / "self.conf").write_text(f"{host.name}\n")
            (folder / "peers.conf").write_text("".join(f"{name}\n" for name in names if name != host.name))
            host.run("tmux", "new-session", "-d", "-s", "dev", "-n", "n", "cat")
            if place.is_chain:
                _forget_the_way(host, [name for other, name in enumerate(names) if abs(other - number) > 1])
        for host in hosts:
            host.start(sys.executable, "-m", "agentmesh", "run", cwd=Path(__file__).parents[2])
        windows = [f"[agents.{name}-dev-n]" for name in names]
        for host in hosts:
            wait_until(partial(_knows, host, windows), f"{host.name} knows all windows")
        if place.delay:
            for host in hosts:
                network.delay(host.name, place.delay / 2)
        yield hosts


def _forget_the_way(host: Host, others: Sequence[str]) -> None:
    """Let a host not reach others: what comes first in an SSH configuration counts."""
    config = host.outside(".ssh/config")
    blocks = "".join(f"Host {name}\n    HostName 127.0.0.1\n    Port 1\n" for name in others)
    config.write_text(blocks + config.read_text())


def _knows(host: Host, windows: Sequence[str]) -> bool:
    file = host.outside(_REGISTRY)
    return file.exists() and all(window in file.read_text() for window in windows)
