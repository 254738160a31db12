"""Many jobs between three hosts under random faults, and what became of each event. Needs Linux and root.

    python -m tests.faults.job_soak --jobs 1000

Agents and SSH sessions are killed, cables cut; what is to be done is drawn from the seed that is printed. Exits with 1
when an event was lost, came twice or out of order, a job did not end, or a record isn't what was written.
"""

import random
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec

from agentmesh.core.chain import Entry
from tests.e2e.hosts import Network, obstacle
from tests.e2e.mesh import knows, make_mesh, open_window
from tests.e2e.namespaces import Program
from tests.eventually import eventually
from tests.faults.soak import NAMES, Station, arguments
from tests.faults.working import STEPS, UNDER_WAY

_CHECKOUT = Path(__file__).parents[2]
_PATH = {"PYTHONPATH": str(_CHECKOUT)}


class Outcome(msgspec.Struct):
    """How a run fared."""

    counts: Counter[str]
    bad: list[str]
    """What broke a promise."""

    @property
    def table(self) -> str:
        """The figures, for people."""
        lines = [f"{name:<40} {number:>7}" for name, number in sorted(self.counts.items())]
        return "\n".join([*lines, f"{'broken promises':<40} {len(self.bad):>7}", *self.bad[:40]])


class JobSoak:
    """One run."""

    def __init__(self, network: Network, seed: str) -> None:
        self._network = network
        self._seed = seed
        self._chance = random.Random(seed)
        self.faults = 0
        self._stations = {host.name: Station(host) for host in make_mesh(network, NAMES)}
        targets = [f"{name}-dev-desk" for name in NAMES]
        for station in self._stations.values():
            station.take_over()
            open_window(station.host, "dev", "desk", "cat")
        for station in self._stations.values():
            eventually(knows(station.host, *targets), "all hosts know all panes", network.diagnose, seconds=60)
        self._targets = targets
        self._submitted: dict[str, str] = {}

    def run(self, jobs: int, seconds: float) -> Outcome:
        """Have so many jobs submitted and worked on; returns how they fared, after this time at the latest."""
        end = time.monotonic() + seconds
        submitting = [
            self._start(name, "submit", f"s{name}", self._seed, str(share), "submitted", *self._targets)
            for name, share in _shares(jobs).items()
        ]
        working = [self._start(name, "work", f"w{name}", "todo", "reported") for name in NAMES]
        are_all = False
        while time.monotonic() < end:
            self._hand_over()
            if len(self._submitted) >= jobs and not are_all:
                are_all = True
                for name in NAMES:
                    self._append(name, "")
            programs = [*submitting, *working]
            if all(program.poll() is not None for program in programs):
                break
            if any(program.poll() for program in programs):
                raise AssertionError(self._network.diagnose())
            self._do_harm()
        left = max(1.0, end - time.monotonic())
        eventually(lambda: not self._owed(), "every event is told", self._network.diagnose, left)
        return self._count()

    def _start(self, name: str, *words: str) -> Program:
        return self._stations[name].host.start(sys.executable, "-m", "tests.faults.working", *words, env=_PATH)

    def _hand_over(self) -> None:
        """Give each job to the host of the pane that its brief was for."""
        for name in NAMES:
            path = self._stations[name].host.outside("submitted")
            for line in path.read_text().splitlines() if path.exists() else []:
                job, target = line.split()
                if job not in self._submitted:
                    self._submitted[job] = target.partition("-")[0]
                    self._append(self._submitted[job], job)

    def _append(self, name: str, line: str) -> None:
        with self._stations[name].host.outside("todo").open("a") as file:
            file.write(f"{line}\n")

    def _do_harm(self) -> None:
        """Do one harm, and undo it after a while."""
        name, chance = self._chance.choice(NAMES), self._chance
        self.faults += 1
        time.sleep(chance.uniform(0.2, 1.5))
        match chance.choices(["agent", "session", "cable"], [4, 2, 1])[0]:
            case "agent":
                self._stations[name].kill_agent()
                time.sleep(chance.choice([0, 0, 0.5]))
                self._stations[name].start_agent()
            case "session":
                self._stations[name].kill_session(chance)
            case "cable":
                self._network.cut(name)
                time.sleep(chance.uniform(0.5, 4))
                self._network.mend(name)

    def _owed(self) -> int:
        return sum(station.count("reports") for station in self._stations.values())

    def _count(self) -> Outcome:
        outcome = Outcome(Counter({"jobs": len(self._submitted), "faults": self.faults}), [])
        said: dict[str, dict[int, str]] = {job: {} for job in self._submitted}
        for name in NAMES:
            for line in self._stations[name].host.outside("reported").read_text().splitlines():
                job, number, code = line.split()
                said[job][int(number)] = code
        for name in NAMES:
            own = [job for job in self._submitted if job.startswith(f"{name}-")]
            host = self._stations[name].host
            words = (sys.executable, "-m", "tests.faults.working", "verify", "v", "verified")
            host.run(*words, stdin="\n".join(own), env=_PATH, timeout=300)
            for line in host.outside("verified").read_text().splitlines():
                outcome.bad += [f"verify: {line}"] if line.split()[1] != "0" else []
            for job in own:
                lines = host.outside(f".agents/jobs/{job}/events.ndjson").read_bytes().splitlines()
                self._judge(job, [msgspec.json.decode(line, type=Entry) for line in lines], said[job], outcome)
        return outcome

    def _judge(self, job: str, entries: list[Entry], said: dict[int, str], outcome: Outcome) -> None:
        """Hold what the record has against what the commands were told."""
        worker = f"w{self._submitted[job]}"
        mine = [entry.event for entry in entries if entry.event.sender == worker]
        numbers = [int(msgspec.json.decode(event.body)["n"]) for event in mine]
        outcome.counts["events"] += len(entries)
        outcome.counts["commands cut"] += sum(code in {"cut", "7"} for code in said.values())
        if len(set(numbers)) < len(numbers):
            outcome.bad.append(f"{job}: twice: {numbers}")
        if numbers != sorted(numbers):
            outcome.bad.append(f"{job}: out of order: {numbers}")
        taken = {number for number, code in said.items() if code == "0"}
        # Of what is on its way all comes but what follows on the end, which a command that was cut had brought already.
        taken |= {number for number, code in said.items() if code == UNDER_WAY and number < max(numbers, default=0)}
        if lost := taken - set(numbers):
            outcome.bad.append(f"{job}: lost: {lost} of {said}")
        if untrue := set(numbers) - {number for number, code in said.items() if code in {"0", "7", "cut", UNDER_WAY}}:
            outcome.bad.append(f"{job}: told not to be accepted: {untrue} of {said}")
        if not mine or mine[-1].type != STEPS[-1]:
            outcome.bad.append(f"{job}: not ended: {said}")


def _shares(jobs: int) -> dict[str, int]:
    """Return how many of the jobs each host submits.

    >>> _shares(1000)
    {'a': 334, 'b': 333, 'c': 333}
    """
    return {name: len(range(place, jobs, len(NAMES))) for place, name in enumerate(NAMES)}


def main() -> int:
    """Run, and print the figures."""
    parser = arguments(__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    words = parser.parse_args()
    if reason := obstacle():
        print(reason)
        return 1
    print(f"seed {words.seed}", flush=True)
    begun = time.monotonic()
    with Network() as network:
        result = JobSoak(network, words.seed).run(words.jobs, words.seconds)
        print(f"{time.monotonic() - begun:.0f} s\n{result.table}")
    return 1 if result.bad else 0


if __name__ == "__main__":
    sys.exit(main())
