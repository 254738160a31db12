"""A host whose agent dies where it is told to, and panes whose programs write down what they get."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import msgspec

from agentmesh.core.model import Message, Receipt
from tests.eventually import eventually
from tests.faults.killing import PLAN
from tests.mesh.local import STOP_SECONDS, LocalHost

_FOLDER = Path(__file__).parent
READER = _FOLDER / "programs" / "reader.py"
CLAUDE = _FOLDER.parent / "mesh" / "programs" / "claude.py"
_CHECKOUT = _FOLDER.parents[1]


class MortalHost(LocalHost):
    """Its agent is run by `tests.faults.killing`."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, root)
        self._plan = self.home / "plan"
        self._lists = count()
        self._steps = self.home / "steps"
        self.listen("127.0.0.1:0")
        self.environment["PATH"] = f"{self.agents}/bin:{self.environment['PATH']}"
        self._pid = 0
        with (self.home / "agent.out").open("ab") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.killing"],
                env={**self.environment, PLAN: str(self._plan), "PYTHONPATH": str(_CHECKOUT)},
                cwd=self.home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def listen(self, address: str) -> None:
        """Write the configuration, with the address to listen on from the next start on."""
        (self.agents / "config.toml").write_text(
            f'[listen]\naddress = "{address}"\n[queue]\npause = 0.0\nlongest = 100000\n'
        )

    def start(self) -> None:
        """Run the agent, and wait until it answers."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(b"\n")
        self._nursery.stdin.flush()
        self._pid = int(self._nursery.stdout.readline())
        eventually(self.asking.answers, "the agent answers", lambda: self.log)

    @property
    def is_dead(self) -> bool:
        """Whether the agent has died, as was planned."""
        return not _runs(self._pid)

    def kill(self) -> None:
        """End the agent as a crash does."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        eventually(lambda: self.is_dead, "the agent is dead")

    def end(self) -> None:
        """Stop the agent and the tmux server."""
        if self._pid:
            self.kill()
        self._nursery.communicate(timeout=STOP_SECONDS)
        self.tmux.end()

    def plan(self, deed: str, step: str) -> None:
        """Let the agent die (``kill``) or halt (``stop``) at a step of the next message."""
        self._write_plan(f"{deed} {step}")

    @property
    def has_met_its_plan(self) -> bool:
        """Whether the agent has come to that step."""
        return not self._plan.exists()

    def go_on(self) -> None:
        """Let an agent that has halted go on."""
        state = ["ps", "-o", "state=", "-p", str(self._pid)]
        eventually(lambda: subprocess.check_output(state, text=True).startswith("T"), "the agent has halted")
        os.kill(self._pid, signal.SIGCONT)

    def forget_plan(self) -> bool:
        """Let the agent live; tell whether it is not too late for that."""
        with suppress(FileNotFoundError):
            self._plan.unlink()
            return True
        return False

    def list_steps(self) -> None:
        """Have the agent write down the steps from now on."""
        self._steps = self.home / f"steps-{next(self._lists)}"  # by another name, or the agent would go on counting
        self._write_plan(f"list {self._steps}")

    @property
    def steps(self) -> list[str]:
        """The steps written down."""
        return self._steps.read_text().splitlines() if self._steps.exists() else []

    def _write_plan(self, text: str) -> None:
        draft = self._plan.with_suffix(".new")
        draft.write_text(text)
        draft.rename(self._plan)

    def crash_tmux(self) -> None:
        """Kill the tmux server."""
        pid = int(self.tmux.run("display-message", "-p", "#{pid}"))
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not _runs(pid), "tmux is dead")

    def begin_session(self) -> None:
        """Start the tmux server again."""
        self.tmux.run("new-session", "-d", "-s", "dev", "-n", "first", "-x", "100", "-y", "30", "cat")

    def owed(self, body: str) -> Receipt | None:
        """Return how far a message of this host got, by the outbox on its disk; None when it isn't there."""
        return next((receipt for message, receipt in self.outbox() if message.body == body), None)

    def outbox(self) -> list[tuple[Message, Receipt]]:
        """Return every message of this host, without asking the agent."""
        with closing(sqlite3.connect(self.agents / "mesh.db", timeout=10)) as connection:
            rows = connection.execute("SELECT message, receipt FROM outbox ORDER BY rowid").fetchall()
        return [
            (msgspec.json.decode(message, type=Message), msgspec.json.decode(receipt, type=Receipt))
            for message, receipt in rows
        ]


class Program:
    """A pane whose program writes down what it gets."""

    def __init__(self, host: LocalHost, name: str, kind: str) -> None:
        self.host = host
        self.name = name
        self.kind = kind
        self.address = f"{host.name}-dev-{name}"
        self._log = host.home / f"{name}.log"
        self._log.touch()
        self.pane = ""
        self.open()

    def open(self) -> None:
        """Start the program in a window of its own."""
        words = (CLAUDE, self._log, "plain") if self.kind == "box" else (READER, self._log)
        self.pane = self.host.open(self.name, sys.executable, *words)

    @property
    def got(self) -> list[str]:
        """The bodies of the messages that it got, in order."""
        lines = self._log.read_text().splitlines()
        texts = [str(msgspec.json.decode(line)) for line in lines] if self.kind == "box" else lines
        return [text.partition("] ")[2].strip() for text in texts]

    def half_type(self) -> None:
        """Put a draft into it, so that it isn't ready."""
        self.host.tmux.run("send-keys", "-t", self.pane, "-l", "draft")
        eventually(lambda: "draft" in self.host.tmux.screen(self.pane), "the draft stands there")

    def clear(self) -> None:
        """Take away what stands in its line or box, as a person would."""
        self.host.tmux.run("send-keys", "-N", "300", "-t", self.pane, "BSpace")


def _runs(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
