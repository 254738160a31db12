"""Hosts on one machine, each with a network, processes, a name, a home and an sshd of its own. Needs Linux and root.

A host reads the machine's files, sees its own network and processes alone, and writes nowhere but in its private
folders, which go when it goes. The switch between the hosts is in a namespace too: the machine's own network has no
part in it.
"""

import contextlib
import ipaddress
import itertools
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.namespaces import PATIENCE, SYSTEM_PATH, Namespaces, Program, covered, wait_until

_CABLE = Path(__file__).with_name("cable.py")
_CHECKOUT = Path(__file__).resolve().parents[2]
_USER = pwd.getpwuid(os.getuid())
HOME = Path(_USER.pw_dir)
"""The home on each host, which is empty at first: where the machine's own is."""
_PATH = f"{sys.prefix}/bin:{SYSTEM_PATH}"
_SUBNET = ipaddress.ip_network("192.0.2.0/24")  # for documentation (RFC 5737): nobody's

_SSHD = shutil.which("sshd", path=_PATH) or "/usr/sbin/sshd"  # it insists on being started by an absolute path
_SSHD_CONFIG = Path("/run/sshd_config")
_HOST_KEY = Path("/run/ssh_host_ed25519_key")

_PRIVATE = {HOME: "700", Path("/tmp"): "1777", Path("/run"): "755", Path("/dev/shm"): "1777"}  # noqa: S108
_KINDS = ["mount", "uts", "net", "pid"]
_PROGRAMS = ["unshare", "nsenter", "mount", "ip", "ssh", "ssh-keygen", "sshd"]
_TRIAL = ["ip link add name switch type bridge", "ip link add name port type veth", "mount -n -t tmpfs trial /tmp"]


class CommandError(Exception):
    """A command in a host ended with other than 0, or not in time."""

    def __init__(self, host: str, outcome: str, result: subprocess.CompletedProcess[str]) -> None:
        super().__init__(
            f"On {host}, `{shlex.join(result.args)}` {outcome}.\nstdout:\n{result.stdout}\nstderr:\n{result.stderr}"
        )
        self.result = result


def obstacle() -> str | None:
    """Return the reason why there can be no hosts on this machine, or None when they can be had."""
    if sys.platform != "linux":
        return "Namespaced hosts need Linux."
    if os.getuid() != 0:
        return "Namespaced hosts need root."
    missing = [program for program in _PROGRAMS if not shutil.which(program, path=_PATH)]
    if missing:
        return f"Namespaced hosts need {', '.join(missing)}. On Debian, install openssh-server and iproute2."
    try:
        Namespaces(_KINDS, _TRIAL).close()
    except OSError as error:
        return str(error)
    return None


class Host:
    """A host of a `Network`, which makes and ends it. Paths are those inside, relative ones start at its home."""

    def __init__(self, name: str, number: int, logs: Path, visible: Collection[Path] = ()) -> None:
        self.name = name
        self.number = number
        self.address = str(_SUBNET[number])
        self.home = HOME
        self.environment = {
            "HOME": str(HOME),
            "USER": _USER.pw_name,
            "LOGNAME": _USER.pw_name,
            "SHELL": "/bin/bash",
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
        }
        self._logs = logs
        self._log_numbers = itertools.count(1)
        self._programs: list[Program] = []
        self._sshd: Program | None = None
        self.namespaces = Namespaces(_KINDS, _preparation(name, visible))

    def run(
        self,
        *argv: str | Path,
        check: bool = True,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        cwd: Path | str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and return what it said; raise CommandError when it fails or takes too long."""
        with tempfile.TemporaryDirectory(dir=self._logs) as folder:
            output, errors = Path(folder) / "stdout", Path(folder) / "stderr"
            program = Program(
                self._command(argv, cwd),
                environment={**self.environment, **(env or {})},
                output=output,
                errors=errors,
                stdin=stdin,
            )
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.wait(timeout)
                late = program.returncode is None
            finally:
                program.kill()
                program.wait(PATIENCE)
            result = subprocess.CompletedProcess(
                [str(word) for word in argv],
                program.returncode,
                output.read_text(errors="replace"),
                errors.read_text(errors="replace"),
            )
        if late:
            raise CommandError(self.name, f"was killed after {timeout} s", result)
        if check and result.returncode:
            raise CommandError(self.name, f"ended with {result.returncode}", result)
        return result

    def start(self, *argv: str | Path, env: Mapping[str, str] | None = None, cwd: Path | str = "") -> Program:
        """Start a program that lives until a test or the host ends it; its `output` is the path of its log."""
        log = self._logs / f"{next(self._log_numbers):02}-{Path(argv[0]).name}.log"
        program = Program(self._command(argv, cwd), environment={**self.environment, **(env or {})}, output=log)
        self._programs.append(program)
        return program

    def outside(self, path: Path | str) -> Path:
        """Return the path by which the test itself reads and writes a file of this host."""
        return self.namespaces.outside(self.home / path)

    def start_sshd(self) -> None:
        """Start sshd, and return when it listens."""
        sshd = self._sshd = self.start(_SSHD, "-D", "-e", "-f", _SSHD_CONFIG)

        def listens() -> bool:
            if sshd.poll() is not None:
                raise OSError(f"The sshd of {self.name} did not start:\n{sshd.output.read_text()}")
            return "Server listening" in sshd.output.read_text()

        wait_until(listens, f"the sshd of {self.name} listens")

    def stop_sshd(self) -> None:
        """End the listening sshd. As on any machine, connections that stand already stay."""
        if self._sshd is not None:
            self._sshd.terminate()
            self._sshd.wait(PATIENCE)

    def furnish(self) -> None:
        """Make the keys of the user and of the host, the configuration of sshd, and a profile with our PATH."""
        self._append(".profile", f"PATH={shlex.quote(_PATH)}")
        self.outside(".ssh").mkdir(mode=0o700)
        self.outside("/run/sshd").mkdir(mode=0o755)
        for key, owner in ((self.home / ".ssh/id_ed25519", _USER.pw_name), (_HOST_KEY, "host")):
            self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{owner}@{self.name}", "-f", key)
        self.outside(_SSHD_CONFIG).write_text(_sshd_config())
        # From OpenSSH 9.8 on, sshd shuts out for a while who often comes without a key; here all come often.
        lenient = "PerSourcePenalties no"
        if self.run(_SSHD, "-t", "-f", _SSHD_CONFIG, "-o", lenient, check=False).returncode == 0:
            self._append(_SSHD_CONFIG, lenient)

    def meet(self, other: "Host") -> None:
        """From now on this host reaches the other one by its name, knows its key, and lets its user in."""
        host_key = " ".join(other.outside(f"{_HOST_KEY}.pub").read_text().split()[:2])
        self._append(".ssh/known_hosts", f"{other.name},{other.address} {host_key}")
        self._append(".ssh/authorized_keys", other.outside(".ssh/id_ed25519.pub").read_text().strip())
        self._append(
            ".ssh/config",
            f"Host {other.name}",
            f"    HostName {other.address}",
            f"    User {_USER.pw_name}",
            "    StrictHostKeyChecking yes",
        )

    def diagnose(self) -> Iterator[str]:
        """Yield what runs here, and the last lines of each log."""
        yield f"== {self.name} ({self.address})"
        for pid in sorted(int(entry.name) for entry in self.outside("/proc").glob("[0-9]*")):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                words = self.outside(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
                yield f"{pid:7} {shlex.join(words[:-1])}"
        for log in sorted(self._logs.glob("*.log")):
            yield f"-- {log.name}"
            yield from log.read_text(errors="replace").splitlines()[-20:]

    def close(self) -> None:
        """End everything in the host. A frozen program is thawed, for its nsenter sleeps with it."""
        for program in self._programs:
            program.send_signal(signal.SIGCONT)
        self.namespaces.close()
        for program in self._programs:
            program.wait(PATIENCE)

    def _command(self, argv: tuple[str | Path, ...], cwd: Path | str) -> list[str]:
        return self.namespaces.command([str(word) for word in argv], self.outside(cwd))

    def _append(self, path: Path | str, *lines: str) -> None:
        with self.outside(path).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)


class Network:
    """Up to ten hosts on one switch, each of which reaches every other by its name over ssh.

        with Network() as network:
            hub, worker = network.add_host("hub"), network.add_host("worker-1")
            hub.run("ssh", "worker-1", "hostname")

    The end of the `with` ends every process in every host, and nothing of them remains.
    """

    def __init__(self, visible: Collection[Path] = ()) -> None:
        """Have hosts that also see these folders of the machine, which they can't write to."""
        self.hosts: dict[str, Host] = {}
        self._visible = visible
        self._cables: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as life:
            self._logs = Path(life.enter_context(tempfile.TemporaryDirectory(prefix="hosts-")))
            self._switch = life.enter_context(closing(Namespaces(["net"])))
            _ip(self._switch, "link add name switch type bridge", "link set switch up")
            life.callback(self._remove_cables)
            self._life = life.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._life.close()

    def add_host(self, name: str) -> Host:
        """Make a host, and return when its sshd listens and all hosts have met."""
        logs = self._logs / name
        logs.mkdir()
        host = self._life.enter_context(closing(Host(name, len(self.hosts) + 1, logs, self._visible)))
        _ip(
            self._switch,
            f"link add name {_port(host)} type veth peer name eth0 netns {host.namespaces.pid}",
            f"link set {_port(host)} master switch up",
        )
        _ip(
            host.namespaces,
            "link set lo up",
            f"address add {host.address}/{_SUBNET.prefixlen} dev eth0",
            "link set eth0 up",
        )
        host.furnish()
        host.meet(host)
        for other in self.hosts.values():
            host.meet(other)
            other.meet(host)
        host.start_sshd()
        self.hosts[name] = host
        return host

    def cut(self, name: str) -> None:
        """Take a host off the network; what is sent to it is lost, and nobody is told."""
        _ip(self._switch, f"link set {_port(self.hosts[name])} down")

    def mend(self, name: str) -> None:
        """Undo `cut`."""
        _ip(self._switch, f"link set {_port(self.hosts[name])} up")

    def delay(self, name: str, milliseconds: float) -> None:
        """Let every frame to and every frame from a host take so much longer: a round trip takes twice that."""
        self.clear_delay(name)
        host = self.hosts[name]
        near, far = f"near-{host.number}", f"far-{host.number}"
        _ip(self._switch, f"link add name {near} type veth peer name {far}")
        cable = self._cables[name] = subprocess.Popen(
            self._switch.command([sys.executable, "-IS", str(_CABLE), _port(host), near, str(milliseconds)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": _PATH},
            start_new_session=True,
        )
        assert cable.stdout is not None
        if cable.stdout.readline() != "ready\n":
            raise OSError(f"There is no cable that delays {name}.")
        _ip(
            self._switch,
            f"link set {_port(host)} nomaster",
            f"link set {near} up",
            f"link set {far} master switch up",
        )

    def clear_delay(self, name: str) -> None:
        """Undo `delay`; what is still under way is lost."""
        if cable := self._cables.pop(name, None):
            cable.communicate(timeout=PATIENCE)
            host = self.hosts[name]
            _ip(self._switch, f"link delete near-{host.number}", f"link set {_port(host)} master switch")

    def diagnose(self) -> str:
        """Every host's processes and the last lines of its logs, for the report of a test that failed."""
        return "\n".join(line for host in self.hosts.values() for line in host.diagnose())

    def _remove_cables(self) -> None:
        for cable in self._cables.values():
            cable.communicate(timeout=PATIENCE)


def _ip(namespaces: Namespaces, *commands: str) -> None:
    """Have ip(8) do these in order, up to the first that fails."""
    batch = namespaces.command(["ip", "-batch", "-"])
    subprocess.run(batch, input="\n".join(commands), env={"PATH": _PATH}, text=True, check=True)


def _port(host: Host) -> str:
    return f"port-{host.number}"


def _needed() -> set[Path]:
    """Return what stays visible in its place: the checkout, the virtual environment, and the Python it leads to."""
    folders = {_CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}
    executable = Path(sys.executable)
    while executable.is_symlink():
        executable = executable.parent / executable.readlink()
        folders.add(executable.parent.parent)
    return folders


def _preparation(name: str, visible: Collection[Path]) -> Iterator[str]:
    """Yield the shell lines that make fresh namespaces a host."""
    for folder, mode in _PRIVATE.items():
        yield from covered(folder, mode, sorted({*_needed(), *visible}))
    # Without PAM, sshd turns away a user whose password is locked with "!", as root's often is.
    yield f"(umask 077; echo {shlex.quote(f'{_USER.pw_name}:*:::::::')} >/run/shadow)"
    yield "mount -n --bind /run/shadow /etc/shadow"
    yield "mount -n -t devpts -o newinstance,mode=620,ptmxmode=666 private /dev/pts"
    yield "mount -n -t proc private /proc"
    yield f"echo {shlex.quote(name)} >/proc/sys/kernel/hostname"
    yield "mount -n -o remount,bind,ro /"


def _sshd_config() -> str:
    """Return the configuration of every sshd; its key exchange is the cheap one, which halves the time of a login."""
    return f"""\
HostKey {_HOST_KEY}
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
KexAlgorithms curve25519-sha256
LogLevel VERBOSE
PrintMotd no
PrintLastLog no
SetEnv "PATH={_PATH}" LANG=C.UTF-8
Subsystem sftp internal-sftp
"""
