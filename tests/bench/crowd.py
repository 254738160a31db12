"""Many real agents on one machine, in two namespaces with a cable between them, that can be cut.

Each has a home in memory, a tmux server with one window, an address and its own embedded listener. One key is
everybody's: what is measured is gossip, not how keys are looked up. The first agent is started as anybody's is, the
others are forked off a process that has imported the package, to save their time.
"""

import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from agentmesh.adapters.keys import make_key
from agentmesh.agent.view import IDLE_SECONDS
from agentmesh.config import Mesh
from tests.e2e.namespaces import Namespaces
from tests.tmux import RealTmux

PATIENCE = 1200.0
"""Seconds that anything may take."""
_POLL_SECONDS = 0.005
_QUIET_PACKETS = 2
"""That each agent sends in a second when nothing happens, more or less: keepalives."""
_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")


class Member:
    """A host of the crowd."""

    def __init__(self, number: int, side: int, root: Path) -> None:
        self.alias = f"10.9.{side}.{number // 2 + 1}"
        self.home = root / f"h{number}"
        self.registry = self.home / ".agents" / "registry.toml"
        self.side = side
        self.tmux = RealTmux(self.home, self.home)
        self.renamed = 0

    def address(self) -> str:
        """Return the address of its window."""
        return f"{self.alias.replace('.', '-')}-dev-w{self.renamed}"

    def rename(self) -> str:
        """Rename its window; return the new address."""
        self.renamed += 1
        self.tmux.run("rename-window", "-t", "dev:0", f"w{self.renamed}")
        return self.address()


class Crowd:
    """The hosts, and what can be done to them all."""

    def __init__(self, size: int, root: Path, sides: Sequence[Namespaces], settings: str) -> None:
        self._settings = settings
        self._root = root
        self._sides = sides
        self._running: list[subprocess.Popen[bytes]] = []
        self.members = [Member(number, number % 2, root) for number in range(size)]
        self.first = self.members[0]

    def furnish(self) -> None:
        """Make homes, keys, addresses and tmux servers."""
        ssh = self._root / ".ssh"
        ssh.mkdir()
        key = self._root / "key"
        make_key(key)
        public = (self._root / "key.pub").read_text()
        (ssh / "config").write_text(f"Host 10.9.*\n  IdentityFile {key}\n")
        (ssh / "known_hosts").write_text(f"10.9.* {public}")
        for member in self.members:
            home = member.home / ".agents"
            home.mkdir(parents=True, mode=0o700)
            shutil.copy(key, home / "key")
            shutil.copy(self._root / "key.pub", home / "key.pub")
            (home / "authorized_keys").write_text(public)
            (home / "self.conf").write_text(f"{member.alias}\n")
            others = (other.alias for other in self.members if other is not member)
            (home / "peers.conf").write_text("".join(f"{alias}\n" for alias in others))
            (home / "config.toml").write_text(f'[listen]\naddress = "{member.alias}:22"\n{self._settings}')
            member.tmux.run("new-session", "-d", "-s", "dev", "-n", "w0", "exec cat")
        for side, namespace in enumerate(self._sides):
            for word in ("addr add 127.0.0.1/8 dev lo", "link set lo up"):
                _ip(namespace, *word.split(), check=False)
            for member in self.members:
                if member.side == side:
                    _ip(namespace, "addr", "add", f"{member.alias}/16", "dev", f"cable{side}")
            _ip(namespace, "link", "set", f"cable{side}", "up")

    def start(self) -> None:
        """Start all agents, about as fast as two cores can."""
        for side, namespace in enumerate(self._sides):
            homes = [str(member.home) for member in self.members if member.side == side and member is not self.first]
            nursery = [sys.executable, "-m", "tests.bench.nursery", *homes]
            self._running.append(self._popen(namespace, nursery, self.first))
        alone = ["sh", "-c", f"{sys.executable} -m agentmesh run & cat; kill $!; wait"]
        self._running.append(self._popen(self._sides[0], alone, self.first))

    def stop(self) -> None:
        """End all agents, and wait until they have ended."""
        for process in self._running:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._running:
            process.wait(PATIENCE)
        self._running.clear()

    def cut(self) -> None:
        """Part the two sides; what stands between them breaks at once, as it would by and by."""
        _ip(self._sides[0], "link", "set", "cable0", "down")
        for side, namespace in enumerate(self._sides):
            kill = ["ss", "-K", "dst", f"10.9.{1 - side}.0/24"]
            subprocess.run(namespace.command(kill), check=True, capture_output=True)

    def heal(self) -> None:
        """Join them again."""
        _ip(self._sides[0], "link", "set", "cable0", "up")

    def seconds_until(self, holds: Callable[[bytes], bool], hope: str, members: Sequence[Member] = ()) -> float:
        """Return how long it takes until every registry.toml is as hoped. Raises TimeoutError."""
        began = time.perf_counter()
        pending = dict.fromkeys(members or self.members, (0, 0))
        while pending:
            for member, seen in list(pending.items()):
                try:
                    now = member.registry.stat()
                except FileNotFoundError:
                    continue
                if (now.st_ino, now.st_mtime_ns) != seen:
                    pending[member] = now.st_ino, now.st_mtime_ns
                    if holds(member.registry.read_bytes()):
                        del pending[member]
            if time.perf_counter() - began > PATIENCE:
                raise TimeoutError(f"Waited {PATIENCE:g} s in vain until {hope}: {len(pending)} hosts don't say so")
            time.sleep(_POLL_SECONDS)
        return time.perf_counter() - began

    def settle(self) -> None:
        """Wait until hardly anything is said any more: links have been made, and those not needed have been left."""
        time.sleep(2 * IDLE_SECONDS if len(self.members) > Mesh().full else 0)
        deadline = time.perf_counter() + PATIENCE
        said = math.inf
        while said > _QUIET_PACKETS * len(self.members):
            if time.perf_counter() > deadline:
                raise TimeoutError(f"Waited {PATIENCE:g} s in vain until all was quiet")
            before = self.traffic()[0]
            time.sleep(1)
            said = self.traffic()[0] - before

    def traffic(self) -> tuple[int, int]:
        """Return the packets and the bytes that all have sent so far, with what SSH and TCP add."""
        packets = sent = 0
        for namespace in self._sides:
            for line in Path(f"/proc/{namespace.pid}/net/dev").read_text().splitlines()[2:]:
                fields = line.partition(":")[2].split()
                packets += int(fields[9])
                sent += int(fields[8])
        return packets, sent

    def resident(self) -> float:
        """Return the MiB of memory of the agent that was started alone, and shares nothing with the others."""
        tree = [self._running[-1].pid]
        tree += [int(pid) for pid in Path(f"/proc/{tree[0]}/task/{tree[0]}/children").read_text().split()]
        return max(_resident(pid) for pid in tree)

    def run(self, *words: str) -> str:
        """Run a command as the first host's user; return what it says."""
        command = self._sides[0].command([str(Path(sys.executable).with_name(words[0])), *words[1:]])
        done = subprocess.run(command, env=self._environment(self.first), capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"{words} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def _environment(self, member: Member) -> dict[str, str]:
        return {
            **member.tmux.environment,
            "HOME": str(self._root),
            "AGENTMESH_HOME": str(member.home / ".agents"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def _popen(self, namespace: Namespaces, argv: Sequence[str], member: Member) -> subprocess.Popen[bytes]:
        with (self._root / "out").open("ab") as said:
            return subprocess.Popen(
                namespace.command(argv), env=self._environment(member), stdin=subprocess.PIPE, stdout=said, stderr=said
            )


@contextmanager
def crowd(size: int, settings: str = "") -> Iterator[Crowd]:
    """Make a crowd whose agents don't run yet, with some more lines in each config.toml, and end it."""
    with ExitStack() as life:
        root = Path(tempfile.mkdtemp(prefix="am-", dir="/dev/shm"))
        life.callback(shutil.rmtree, root, ignore_errors=True)
        life.enter_context(_enough_watches(size))
        sides = [life.enter_context(closing(Namespaces(["net"]))) for _ in range(2)]
        cable = f"link add name cable0 type veth peer name cable1 netns {sides[1].pid}"
        _ip(sides[0], *cable.split())
        made = Crowd(size, root, sides, settings)
        for member in made.members:
            life.callback(_end_tmux, member)
        life.callback(made.stop)
        made.furnish()
        yield made


@contextmanager
def _enough_watches(size: int) -> Iterator[None]:
    """Let a user have more inotify(7) instances for a while: each agent takes one, and 128 is the kernel's default."""
    before = _INSTANCES.read_text()
    _INSTANCES.write_text(str(max(int(before), 2 * size + 128)))
    try:
        yield
    finally:
        _INSTANCES.write_text(before)


def _end_tmux(member: Member) -> None:
    subprocess.run(["tmux", "kill-server"], env=member.tmux.environment, capture_output=True, check=False)


def _ip(namespace: Namespaces, *words: str, check: bool = True) -> None:
    subprocess.run(namespace.command(["ip", *words]), check=check, capture_output=True)


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
