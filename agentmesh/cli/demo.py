"""agentmesh demo: three hosts on this machine, so that a person sees the mesh work. It leaves nothing behind."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import typer

from agentmesh.errors import AgentmeshError

PATIENCE = 20.0
"""Seconds that any single step may take."""
HOSTS = ("hub", "worker-1", "worker-2")
_STOP_SECONDS = 10.0


class _Host:
    """A host of the demo: a home, a tmux server and an agent of its own."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.home = root / name
        self._environment = {
            "HOME": str(self.home),
            "TMUX_TMPDIR": str(self.home),
            "PATH": f"{self.home}/.agents/bin:{os.environ.get('PATH', os.defpath)}",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "PS1": "$ ",
        }

    def run(self, *command: str) -> str:
        """Run a command as this host's user; returns its standard output."""
        done = subprocess.run(
            command, env=self._environment, cwd=self.home, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        if done.returncode:
            raise AgentmeshError(reason=f"on {self.name}, `{' '.join(command)}`: {done.stderr.strip()}")
        return done.stdout

    def agentmesh(self, *words: str) -> str:
        """Run an agentmesh command on this host."""
        return self.run(sys.executable, "-m", "agentmesh", *words)

    def addresses(self) -> list[str]:
        """Return every address that this host knows."""
        return self.run("notify-pane", "--list").split()

    def screen(self, window: str) -> str:
        """Return what a window shows."""
        return self.run("tmux", "capture-pane", "-p", "-t", f"demo:{window}").rstrip()

    @contextmanager
    def tmux(self, window: str, command: str) -> Iterator[None]:
        """Run a tmux server with one window."""
        self.run(
            "tmux", "-f", "/dev/null", "new-session", "-d", "-s", "demo", "-n", window, "-x", "100", "-y", "12", command
        )
        try:
            yield
        finally:
            self.run("tmux", "kill-server")

    @contextmanager
    def agent(self) -> Iterator[None]:
        """Run this host's agent."""
        settings = self.home / ".agents"
        settings.mkdir(parents=True, mode=0o700)
        (settings / "self.conf").write_text(f"{self.name}\n")
        (settings / "config.toml").write_text('[listen]\naddress = "127.0.0.1:0"\n')
        with (self.home / "agent.log").open("w") as log:
            command = [sys.executable, "-m", "agentmesh", "run"]
            process = subprocess.Popen(command, env=self._environment, cwd=self.home, stderr=log)
        try:
            _wait(f"{self.name}'s agent", (settings / "agent.sock").exists)
            yield
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)

    def befriend(self, hosts: list["_Host"], ports: dict[str, str]) -> None:
        """Know the other hosts by alias, trust their keys, and let theirs in."""
        folder = self.home / ".ssh"
        folder.mkdir(mode=0o700)
        others = [host for host in hosts if host is not self]
        keys = {host.name: (host.home / ".agents" / "key.pub").read_text() for host in others}
        key = self.home / ".agents" / "key"
        (folder / "config").write_text(
            "".join(f"Host {name}\n  HostName 127.0.0.1\n  Port {ports[name]}\n  IdentityFile {key}\n" for name in keys)
        )
        (folder / "known_hosts").write_text("".join(f"[127.0.0.1]:{ports[name]} {key}" for name, key in keys.items()))
        (self.home / ".agents" / "authorized_keys").write_text("".join(keys.values()))
        (self.home / ".agents" / "peers.conf").write_text("".join(f"{host.name}\n" for host in others))
        self.agentmesh("sync")


def demo() -> None:
    """Show it: three hosts on this machine.

    They are started on loopback, a message and a file are sent, a window is renamed; all is removed again.
    """
    if shutil.which("tmux") is None:
        raise AgentmeshError(reason="there is no program called tmux on PATH; install it")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="agentmesh-demo-") as folder, ExitStack() as life:
        hub, worker_1, worker_2 = hosts = [_Host(name, Path(folder)) for name in HOSTS]
        _say("Three hosts on this machine, each with its own home, tmux server, agent and SSH listener")
        for host, window, command in (
            (hub, "lead", "sh"),
            (worker_1, "review", "exec cat"),
            (worker_2, "build", "exec cat"),
        ):
            host.home.mkdir()
            life.enter_context(host.tmux(window, command))
            life.enter_context(host.agent())
        ports = {host.name: _port(host) for host in hosts}
        for host in hosts:
            host.befriend(hosts, ports)
        _wait(
            "all hosts in hub's registry",
            lambda: {"worker-1-demo-review", "worker-2-demo-build"} <= set(hub.addresses()),
        )
        _show("hub$ notify-pane --list", "\n".join(hub.addresses()))

        _say("A message, typed in a pane of hub")
        message = "schema changed at row 142, please verify the migration"
        hub.run("tmux", "send-keys", "-t", "demo:lead", f"notify-pane worker-1-demo-review '{message}'", "Enter")
        _wait("the message in worker-1's pane", lambda: message in worker_1.screen("review"))
        _wait("its receipt in hub's pane", lambda: "→" in hub.screen("lead"))
        _show("hub, the pane that sent", hub.screen("lead"))
        _show("worker-1, the pane that received", worker_1.screen("review"))

        _say("A file")
        (hub.home / "diff.patch").write_bytes(content := os.urandom(200_000))
        sent = hub.run("notify-pane", "worker-1-demo-review", "--file", "diff.patch", "section 3 needs your eyes")
        _show("hub$ notify-pane worker-1-demo-review --file diff.patch 'section 3 needs your eyes'", sent.rstrip())
        dropped = worker_1.home / ".agent-inbox" / "hub" / "diff.patch"
        if dropped.read_bytes() != content:
            raise AgentmeshError(reason=f"{dropped} is not the file that was sent")
        _show("worker-1, the file that arrived", f"{dropped.stat().st_size} bytes, identical")

        _say("A window renamed on worker-2, seen on hub")
        renamed = time.monotonic()
        worker_2.run("tmux", "rename-window", "-t", "demo:build", "Release 2.0")
        _wait("the new name in hub's registry", lambda: "worker-2-demo-release-2-0" in hub.addresses())
        _show("hub$ notify-pane --list", "\n".join(hub.addresses()))
        _show("seen after", f"{time.monotonic() - renamed:.2f} s")
    _say(f"Done in {time.monotonic() - began:.1f} s; everything was stopped and removed")


def _port(host: _Host) -> str:
    listening: str = json.loads(host.agentmesh("status", "--json"))["listening"]
    return listening.rpartition(":")[2]


def _wait(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise AgentmeshError(reason=f"the demo waited {PATIENCE:g} s for {what}")
        time.sleep(0.05)


def _say(text: str) -> None:
    typer.secho(f"\n{text}", bold=True)


def _show(title: str, text: str) -> None:
    typer.secho(f"  {title}", dim=True)
    for line in text.splitlines():
        typer.echo(f"    {line}")


def add_to(commands: typer.Typer) -> None:
    """Add this command to the program."""
    commands.command()(demo)
