"""A real tmux server on a socket of its own, with a home of its own."""

import os
import subprocess
from pathlib import Path

from tests.eventually import eventually


class RealTmux:
    """Starts with the first session that is made, and is gone after ``end``, its socket too."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.socket = folder / f"tmux-{os.getuid()}" / "default"
        self.home = home
        self.environment = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "SHELL": "/bin/sh",
            "TERM": "xterm-256color",
            "TMUX_TMPDIR": str(folder),
        }

    def run(self, *command: str) -> str:
        """Run one tmux command and return what it says."""
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", *command],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        assert done.returncode == 0, f"tmux {command}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def ask(self, pane: str, expression: str) -> str:
        """Return what a format gives for a pane."""
        return self.run("display-message", "-p", "-t", pane, expression)

    def screen(self, pane: str) -> str:
        """Return what a pane shows."""
        return self.run("capture-pane", "-p", "-t", pane).rstrip("\n")

    def start(self) -> None:
        """Make session ``dev`` with a window ``first``, in which cat waits."""
        self.run("new-session", "-d", "-s", "dev", "-n", "first", "-x", "80", "-y", "24", "exec cat")
        eventually(lambda: self.ask("dev:first", "#{pane_current_command}") == "cat", "cat has started")

    def new_window(self, name: str, *program: str) -> str:
        """Make a window that runs a program, and return the id of its pane."""
        return self.run("new-window", "-d", "-P", "-F", "#{pane_id}", "-t", "dev:", "-n", name, *program)

    def end(self) -> None:
        """Kill the server and everything that runs in its panes, and remove its socket."""
        subprocess.run(["tmux", "kill-server"], env=self.environment, capture_output=True, check=False)
        eventually(lambda: not self._answers(), "the tmux server ends")
        self.socket.unlink(missing_ok=True)

    def _answers(self) -> bool:
        asked = subprocess.run(["tmux", "list-sessions"], env=self.environment, capture_output=True, check=False)
        return asked.returncode == 0
