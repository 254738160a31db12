"""Many messages between three hosts under random faults, and what became of each. Needs Linux and root.

    python -m tests.faults.soak --messages 10000

Agents, SSH sessions and tmux servers are killed, cables cut; what is to be done is drawn from the seed that is printed.
Exits with 1 when a message was lost, came twice or out of order, or was told of wrongly.
"""

import argparse
import random
import re
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from agentmesh.core.delivery import State, is_end
from agentmesh.core.model import Message, Receipt
from tests.e2e.hosts import Host, Network, obstacle
from tests.e2e.mesh import knows, make_mesh
from tests.eventually import eventually
from tests.faults.hosts import CLAUDE, READER
from tests.faults.tally import Tally, tally

NAMES = ("a", "b", "c")
PANES = {"one": READER, "two": READER, "box": CLAUDE}
SENDERS = ("x", "y")
_CHECKOUT = Path(__file__).parents[2]
_LEFT_SECONDS = 15.0
"""What has stood in a pane for so long was left by a crash: no delivery takes as long."""
_QUERY = """
import json, sqlite3, sys
print(json.dumps(sqlite3.connect(sys.argv[1], timeout=20).execute(sys.argv[2]).fetchall()))
"""
_STANDS = re.compile("❯\u00a0\\S")


class Station:
    """A host of the mesh, its agent and its panes."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.agent = host.start("true")
        self._standing: dict[str, tuple[str, float]] = {}

    def take_over(self) -> None:
        """Run the agent under our eyes, in place of the one that runs."""
        self.host.run("agentmesh", "stop")
        self.host.outside(".agents/config.toml").write_text("[queue]\npause = 0.0\nlongest = 100000\n")
        self.start_agent()

    def start_agent(self) -> None:
        """Start the agent."""
        self.agent = self.host.start("agentmesh", "run")

    def kill_agent(self) -> None:
        """Kill the agent."""
        self.agent.send_signal(signal.SIGKILL)
        self.agent.wait(30)

    def start_tmux(self) -> None:
        """Start the tmux server, with a program in each window."""
        words: list[str] = []
        for name, script in PANES.items():
            begin = ["new-window", "-d"] if words else ["new-session", "-d", "-s", "dev", "-x", "120", "-y", "40"]
            program = shlex.join([sys.executable, str(script), f"{self.host.home}/{name}.log"])
            words += [*begin, "-n", name, f"exec {program}", ";"]

        def starts() -> bool:
            if self.host.run("tmux", *words[:-1], check=False).returncode == 0:
                return True
            self.kill_tmux()
            return False

        eventually(starts, "tmux starts, although the agent looks for the server before")

    def kill_tmux(self) -> None:
        """Kill the tmux server."""
        self.host.run("sh", "-c", "kill -9 $(tmux display-message -p '#{pid}')", check=False)

    def kill_session(self, chance: random.Random) -> None:
        """Kill one of the processes in which sshd serves a connection."""
        found = self.host.run("pgrep", "-f", "^sshd: .*@notty", check=False).stdout.split()
        if found:
            self.host.run("kill", "-9", chance.choice(found), check=False)

    def clear_away(self) -> None:
        """Take away what a crash has left in a line or a box, as a person would."""
        for name, script in PANES.items():
            seen = self.host.run(
                *("tmux", "display-message", "-p", "-t", f"dev:{name}", "#{cursor_x}", ";"),
                *("capture-pane", "-p", "-t", f"dev:{name}"),
                check=False,
            ).stdout
            column, _, screen = seen.partition("\n")
            stands = bool(_STANDS.search(screen)) if script == CLAUDE else column not in {"", "0"}
            before, since = self._standing.get(name, ("", 0.0))
            if not stands or before != screen:
                self._standing[name] = (screen if stands else "", time.monotonic())
            elif stands and time.monotonic() - since > _LEFT_SECONDS:
                self.host.run("tmux", "send-keys", "-N", "300", "-t", f"dev:{name}", "BSpace", check=False)

    def told(self) -> dict[str, Receipt]:
        """Return what the outbox tells of each message."""
        rows = self._query("SELECT CAST(message AS TEXT), CAST(receipt AS TEXT) FROM outbox")
        return {
            msgspec.json.decode(message, type=Message).body: msgspec.json.decode(receipt, type=Receipt)
            for message, receipt in rows
        }

    def owes(self) -> int:
        """Return how many of this host's messages have not ended."""
        states = ", ".join(f"'{state}'" for state in State if not is_end(state))
        ((number,),) = self._query(f"SELECT count(*) FROM outbox WHERE state IN ({states})")  # noqa: S608 (our own names)
        return int(number)

    def count(self, table: str) -> int:
        """Return how many rows a table of its database has."""
        ((number,),) = self._query(f"SELECT count(*) FROM {table}")  # noqa: S608 (our own names)
        return int(number)

    def _query(self, query: str) -> list[list[Any]]:
        """Ask the database from within the host: to SQLite, its path from outside means a file of this machine."""
        answer = self.host.run(sys.executable, "-IS", "-c", _QUERY, str(self.host.home / ".agents/mesh.db"), query)
        return msgspec.json.decode(answer.stdout, type=list[list[Any]])

    def got(self) -> dict[str, list[str]]:
        """Return what each pane's program got, in order."""
        logs = {}
        for name, script in PANES.items():
            path = self.host.outside(f"{name}.log")
            lines = path.read_text().splitlines() if path.exists() else []
            texts = [str(msgspec.json.decode(line)) for line in lines] if script == CLAUDE else lines
            logs[f"{self.host.name} {name}"] = [text.partition("] ")[2].strip() for text in texts]
        return logs


class Soak:
    """One run."""

    def __init__(self, network: Network, seed: str) -> None:
        self._network = network
        self._seed = seed
        self._chance = random.Random(seed)
        self.stations = [Station(host) for host in make_mesh(network, NAMES)]
        self.faults = 0
        for station in self.stations:
            station.take_over()
            station.start_tmux()
        self._targets = [f"{name}-dev-{pane}" for name in NAMES for pane in PANES]
        for station in self.stations:
            eventually(
                knows(station.host, *self._targets),
                "all hosts know all panes",
                network.diagnose,
                seconds=60,
            )

    def run(self, messages: int, rate: float, seconds: float) -> Tally:
        """Send so many messages, at most so many a second, and return how they fared, after this time at the latest."""
        senders = len(NAMES) * len(SENDERS)
        each, pause = messages // senders, senders / rate
        sending = [
            station.host.start(
                *(sys.executable, "-m", "tests.faults.sending", f"{station.host.name}{name}", self._seed),
                *(str(each), str(pause), f"{name}.sent", *self._targets),
                env={"AGENT_NAME": f"{station.host.name}{name}", "PYTHONPATH": str(_CHECKOUT)},
            )
            for station in self.stations
            for name in SENDERS
        ]
        end = time.monotonic() + seconds
        while any(program.poll() is None for program in sending) and time.monotonic() < end:
            time.sleep(self._chance.uniform(0.2, 2.0))
            self._do_harm()
            for station in self.stations:
                station.clear_away()
        while (any(program.poll() is None for program in sending) or self._owed()) and time.monotonic() < end:
            time.sleep(0.5)
            for station in self.stations:
                station.clear_away()
        return self._count()

    def _owed(self) -> int:
        return sum(station.owes() for station in self.stations)

    def _do_harm(self) -> None:
        """Do one harm, and undo it after a while."""
        station, chance = self._chance.choice(self.stations), self._chance
        self.faults += 1
        match chance.choices(["agent", "both", "session", "cable", "tmux"], [4, 1, 3, 1, 1])[0]:
            case "agent":
                station.kill_agent()
                time.sleep(chance.choice([0, 0, 1, 2]))
                station.start_agent()
            case "both":
                station.kill_agent()
                station.kill_tmux()
                station.start_tmux()
                station.start_agent()
            case "session":
                station.kill_session(chance)
            case "cable":
                self._network.cut(station.host.name)
                time.sleep(chance.uniform(0.5, 8))
                self._network.mend(station.host.name)
            case "tmux":
                station.kill_tmux()
                time.sleep(chance.choice([0, 0, 1]))
                station.start_tmux()

    def _count(self) -> Tally:
        outcomes = {}
        for station in self.stations:
            for name in SENDERS:
                for line in station.host.outside(f"{name}.sent").read_text().splitlines():
                    outcome, _, body = line.partition(" ")
                    outcomes[body] = outcome
        told = {body: receipt for station in self.stations for body, receipt in station.told().items()}
        logs = {pane: log for station in self.stations for pane, log in station.got().items()}
        return tally(outcomes, told, logs)


def arguments(page: str | None) -> argparse.ArgumentParser:
    """Return what every soak takes: how long, and the seed; ``page`` is its module's docstring."""
    parser = argparse.ArgumentParser(description=(page or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**9)))
    return parser


def main() -> int:
    """Run, and print the figures."""
    parser = arguments(__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=20.0, help="messages a second, at most")
    words = parser.parse_args()
    if reason := obstacle():
        print(reason)
        return 1
    print(f"seed {words.seed}", flush=True)
    begun = time.monotonic()
    with Network() as network:
        soak = Soak(network, words.seed)
        result = soak.run(words.messages, words.rate, words.seconds)
        print(f"{soak.faults} faults, {time.monotonic() - begun:.0f} s\n{result.table}")
        if result.bad:
            print(network.diagnose())
    return 1 if result.bad else 0


if __name__ == "__main__":
    sys.exit(main())
