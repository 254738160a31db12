"""A host whose panes hold real agent CLIs: a home, processes and a network of its own, where only the mock answers.

Needs Linux and root. It reads the machine's files and writes nowhere but in its private folders, which go when it goes,
as does every process in it: some CLIs leave children behind.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.clis import install
from tests.clis.recipes import HOME, NOBODY, STRANGE, WORK, Recipe
from tests.e2e.namespaces import SYSTEM_PATH, Namespaces, Program, covered
from tests.eventually import eventually

START_SECONDS = 90.0
"""More than the slowest program takes on a busy machine."""
_CHECKOUT = Path(__file__).resolve().parents[2]
_PRIVATE = {Path("/home"): "755", Path("/tmp"): "1777", Path("/run"): "755", Path("/dev/shm"): "1777"}  # noqa: S108
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
    """Everything lives from `with` to its end. Paths are those inside."""

    def __init__(self) -> None:
        self.environment = {
            "HOME": HOME,
            "USER": "root",
            "SHELL": "/bin/bash",
            "PATH": f"{sys.prefix}/bin:{SYSTEM_PATH}",
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
        }
        self._programs: list[Program] = []
        self._requests: list[Request] = []
        self._read = 0

    def __enter__(self) -> Self:
        with ExitStack() as life:
            self._logs = Path(life.enter_context(tempfile.TemporaryDirectory(prefix="stage-")))
            life.callback(self._reap)
            self._namespaces = life.enter_context(closing(Namespaces(["mount", "uts", "net", "pid"], _preparation())))
            self.start(sys.executable, "-m", "tests.clis.model_server", _SERVED, cwd=_CHECKOUT)
            eventually(lambda: "ready" in self.logs(), "the model server listens", self.logs)
            self.tmux("new-session", "-d", "-s", "dev", "-n", "first", "exec cat")
            self.tmux("set-option", "-g", "remain-on-exit", "on")
            self._life = life.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._life.close()

    def start(self, *argv: str | Path, cwd: Path | str = HOME) -> None:
        """Start a program that lives as long as the stage."""
        log = self._logs / f"{len(self._programs)}-{Path(argv[0]).name}.log"
        self._programs.append(Program(self._command(argv, cwd), environment=self.environment, output=log))

    def start_agent(self) -> None:
        """Run the agent of this host, `solo`, and return when it answers."""
        self.outside(f"{HOME}/.agents").mkdir(mode=0o700)
        self.outside(f"{HOME}/.agents/self.conf").write_text("solo\n")
        self.start("agentmesh", "run")
        eventually(lambda: self.run("agentmesh", "status").returncode == 0, "the agent answers", self.logs)

    def logs(self) -> str:
        """Return what the programs have written."""
        return "\n".join(log.read_text() for log in sorted(self._logs.iterdir()))

    def run(self, *argv: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._command(argv, HOME),
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

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
        """Return the path by which the test itself reads and writes a file of the stage."""
        return self._namespaces.outside(Path(path))

    def _command(self, argv: tuple[str | Path, ...], cwd: Path | str) -> list[str]:
        return self._namespaces.command([str(word) for word in argv], self.outside(str(cwd)))

    def _reap(self) -> None:
        for program in self._programs:
            program.wait()


def obstacle() -> str | None:
    """Return the reason why there can be no stage on this machine, or None."""
    missing = [name for name in ("unshare", "nsenter", "mount", "ip", "tmux") if not shutil.which(name)]
    if sys.platform != "linux" or missing:
        return f"Real CLIs are run in namespaces: they need Linux and {', '.join(missing)}."
    try:
        Namespaces(["mount", "uts", "net", "pid"], _preparation()).close()
    except OSError as error:
        return f"Real CLIs are run in namespaces, which can't be made here: {error}"
    return None


def _preparation() -> Iterator[str]:
    """Yield the shell lines that make fresh namespaces a stage."""
    install.CACHE.mkdir(parents=True, exist_ok=True)
    visible = {_CHECKOUT, Path(sys.prefix), Path(sys.base_prefix), install.CACHE}
    folders = dict(_PRIVATE)
    if Path("/home") not in Path.home().parents:
        folders[Path.home()] = "700"
    for folder, mode in folders.items():
        yield from covered(folder, mode, sorted(visible))
    yield f"mkdir -p {_SERVED} {WORK} {STRANGE} {NOBODY}"
    yield "mount -n -t devpts -o newinstance,mode=620,ptmxmode=666 private /dev/pts"
    yield "mount -n -t proc private /proc"
    yield "echo host >/proc/sys/kernel/hostname"
    yield "ip link set lo up"
    yield "mount -n -o remount,bind,ro /"
