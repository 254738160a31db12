"""A host whose panes hold real agent CLIs, which reach no other network than that of the hosts: there the mock answers.

Some CLIs leave children behind; they end with the host.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.clis import install
from tests.clis.recipes import HOME, NOBODY, STRANGE, WORK, Recipe
from tests.e2e import hosts
from tests.e2e.hosts import Host, Network
from tests.e2e.namespaces import SYSTEM_PATH, Program
from tests.eventually import eventually

START_SECONDS = 90.0
"""More than the slowest program takes on a busy machine."""
_CHECKOUT = Path(__file__).resolve().parents[2]
_SERVED = "/run/model"
SIZE = (120, 40)
"""Columns and rows of a pane."""


class Request(NamedTuple):
    """What a program told the model server."""

    path: str
    turns: list[list[str]]
    """The user's turns, each as its texts."""
    tools: list[str]


class Stage:
    """What the CLIs of a host need: the model server, and folders to work in."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._programs: list[Program] = []
        self._requests: list[Request] = []
        self._read = 0
        for folder in (_SERVED, WORK, STRANGE, NOBODY):
            self.outside(folder).mkdir()
        self._start(sys.executable, "-m", "tests.clis.model_server", _SERVED, cwd=_CHECKOUT)
        eventually(lambda: "ready" in self.logs(), "the model server listens", self.logs)

    def start_agent(self) -> None:
        """Run the host's agent, and return when it answers."""
        self.outside(".agents").mkdir(mode=0o700)
        self.outside(".agents/self.conf").write_text(f"{self.host.name}\n")
        self._start("agentmesh", "run")
        eventually(lambda: self.run("agentmesh", "status").returncode == 0, "the agent answers", self.logs)

    def logs(self) -> str:
        """Return what the programs have written."""
        return "\n".join(program.output.read_text() for program in self._programs)

    def run(self, *argv: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        return self.host.run(*argv, check=False, stdin=stdin, timeout=100)

    def tmux(self, *command: str) -> str:
        """Run one tmux command and return what it says."""
        done = self.run("tmux", "-f", "/dev/null", *command)
        assert done.returncode == 0, f"tmux {command}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def open(
        self, name: str, recipe: Recipe, folder: str = WORK, size: tuple[int, int] = SIZE, home: str = HOME
    ) -> str:
        """Start a CLI in a session of its own, and return the pane's id. It isn't waited for."""
        self.furnish(recipe)
        return self.open_session(name, f"exec {self.command_line(recipe, home)}", folder, size)

    def open_session(self, name: str, command: str, folder: str = WORK, size: tuple[int, int] = SIZE) -> str:
        """Run a command in a tmux session of its own, and return its pane's id. A detached window is as its session."""
        width, height = map(str, size)
        new = ["new-session", "-d", "-P", "-F", "#{pane_id}", "-s", name, "-x", width, "-y", height, "-c", folder]
        return self.tmux(*new, command)

    def furnish(self, recipe: Recipe) -> None:
        """Put what the program wants to find into its home."""
        for home, files in ((HOME, recipe.files), (NOBODY, recipe.stranger_files)):
            for name, text in files.items():
                path = self.outside(f"{home}/{name}")
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)

    def provide(self, recipe: Recipe) -> None:
        """Make a CLI a command of this host, for every shell and program that is started from now on."""
        self.furnish(recipe)
        commands = f"{HOME}/.local/bin"
        launcher = self.outside(f"{commands}/{recipe.name}")
        launcher.parent.mkdir(parents=True, exist_ok=True)
        settings = [f"{name}={value}" for name, value in recipe.environment.items()]
        launcher.write_text(f'#!/bin/sh\nexec {shlex.join(["env", *settings, *install.program(recipe)])} "$@"\n')
        launcher.chmod(0o755)
        if not self.host.environment["PATH"].startswith(commands):
            self.host.environment["PATH"] = f"{commands}:{install.node()}:{self.host.environment['PATH']}"
            with self.outside(".profile").open("a") as profile:
                profile.write(f"PATH={shlex.quote(self.host.environment['PATH'])}\n")

    def command_line(self, recipe: Recipe, home: str = HOME) -> str:
        """Return the shell command that starts a CLI with an environment of its own."""
        environment = {
            "HOME": home,
            "PATH": f"{install.node()}:{SYSTEM_PATH}",
            "SHELL": "/bin/bash",
            "TERM": "tmux-256color",
            "LANG": "C.UTF-8",
            **(recipe.environment if home == HOME or recipe.stranger_has_key else {}),
        }
        return shlex.join(["env", "-i", *(f"{k}={v}" for k, v in environment.items()), *install.program(recipe)])

    def screen(self, pane: str) -> str:
        """Return what a pane shows."""
        return self.tmux("capture-pane", "-p", "-t", pane)

    def wait_for(self, pane: str, pattern: str, seconds: float = START_SECONDS) -> None:
        """Wait until a pane shows something."""
        eventually(
            lambda: re.search(pattern, self.screen(pane)),
            f"{pane} shows {pattern}",
            lambda: f"{self.screen(pane)}\n{self.logs()}",
            seconds,
        )

    def requests(self, recipe: Recipe | None = None) -> list[Request]:
        """Return the requests of a program's conversations, the newest last; without one, all, side requests too."""
        path = self.outside(f"{_SERVED}/requests")
        if path.exists():
            with path.open() as file:
                file.seek(self._read)
                self._requests += [Request(**json.loads(line)) for line in file]
                self._read = file.tell()
        return [request for request in self._requests if recipe is None or request.tools or not recipe.has_tools]

    def hurry(self, *, now: bool) -> None:
        """Let slow answers end, or let new ones be slow."""
        path = self.outside(f"{_SERVED}/hurry")
        if now:
            path.touch()
        else:
            path.unlink(missing_ok=True)

    def follow(self) -> None:
        """Let the model do from now on what it is told."""
        self.outside(f"{_SERVED}/follow").touch()

    def outside(self, path: str) -> Path:
        """Return the path by which the test itself reads and writes a file of the host."""
        return self.host.outside(path)

    def _start(self, *argv: str | Path, cwd: Path | str = "") -> None:
        self._programs.append(self.host.start(*argv, cwd=cwd))


def obstacle() -> str | None:
    """Return the reason why there can be no stage on this machine, or None."""
    return hosts.obstacle() or (None if shutil.which("tmux") else "Real CLIs run in tmux.")


def network() -> Network:
    """Return a network whose hosts can run the CLIs."""
    install.CACHE.mkdir(parents=True, exist_ok=True)
    return Network([install.CACHE])


@contextmanager
def lone_stage() -> Iterator[Stage]:
    """Yield the stage of a host, `solo`, that is alone, with a tmux server in which panes stay when programs end."""
    with network() as alone:
        stage = Stage(alone.add_host("solo"))
        stage.tmux("new-session", "-d", "-s", "dev", "-n", "first", "exec cat")
        stage.tmux("set-option", "-g", "remain-on-exit", "on")
        yield stage
