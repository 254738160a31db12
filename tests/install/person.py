"""A user of a machine: a home, a tmux server that has read its configuration, and the commands of a fresh install."""

import os
import subprocess
import sys
from pathlib import Path

from tests.eventually import eventually
from tests.tmux import RealTmux

PACKAGE = Path(sys.executable).parent


class Person:
    """Has a configuration of tmux and a profile of the shell; ``end`` stops what was started."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir()
        self.agents = self.home / ".agents"
        self.tmux = RealTmux(root, self.home)
        self.environment = self.tmux.environment | {"PATH": f"{PACKAGE}:/usr/bin:/bin:/usr/sbin:/sbin"}
        self.configure("set -g mouse on\nset-hook -g window-renamed 'display-message mine'\n")
        (self.home / ".profile").write_text("umask 022\n")

    def configure(self, text: str) -> Path:
        """Write the user's tmux configuration."""
        path = self.home / ".tmux.conf"
        path.write_text(text)
        return path

    def start_tmux(self) -> None:
        """Start a tmux server with one window, in which cat waits; it reads the user's configuration."""
        self.call("tmux", "new-session", "-d", "-s", "dev", "-n", "first", "-x", "100", "-y", "30", "exec cat")
        eventually(lambda: self.tmux.ask("dev:first", "#{pane_current_command}") == "cat", "cat has started")

    def run(
        self, *words: str, stdin: str = "", environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user."""
        return subprocess.run(
            words,
            env=self.environment | (environment or {}),
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def call(self, *words: str) -> str:
        """Run a command that must succeed, and return what it prints."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def hooks(self) -> str:
        """Return the hooks that the tmux server has."""
        return self.call("tmux", "show-hooks", "-g") + self.call("tmux", "show-hooks", "-gw")

    def look(self) -> dict[str, tuple[int, str | bytes]]:
        """Return everything in the home: mode, and content or where a link leads."""
        return {os.fspath(path.relative_to(self.home)): _seen(path) for path in self.home.rglob("*")}

    def end(self) -> None:
        """Stop the agent and tmux."""
        self.run("agentmesh", "stop")
        if self.tmux.socket.exists():
            self.tmux.end()


def _seen(path: Path) -> tuple[int, str | bytes]:
    mode = path.lstat().st_mode
    if path.is_symlink():
        return mode, os.fspath(path.readlink())
    return mode, path.read_bytes() if path.is_file() else ""
