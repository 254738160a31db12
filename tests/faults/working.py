"""Submit jobs to an agent that dies now and then, or work on them, and write down what was said to each command.

python -m tests.faults.working submit NAME SEED COUNT JOURNAL TARGET…
python -m tests.faults.working work NAME JOBS JOURNAL       jobs are lines of a file that grows, up to an empty one
python -m tests.faults.working verify NAME JOURNAL          the jobs of standard input
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TextIO

from tests.mesh.programs.reporting import CUT, DOWN, Told, ask, report

STEPS = ("claimed", "started", *["progress"] * 6, "completed")
"""With the registration, ten events."""
_AT_ONCE = 4
_PAUSE_SECONDS = 0.1
_ENDED = "has ended already"
_UNDER_WAY = "it is told to"
UNDER_WAY = "way"
"""In place of 0, where the job's home has not answered yet."""


def submit(name: str, seed: str, number: str, journal: TextIO, *targets: str) -> None:
    """Submit so many jobs whose id was heard."""
    chance = random.Random(f"{seed} {name}")
    for each in range(int(number)):
        target, told = chance.choice(targets), Told(DOWN)
        while not told.output:
            told = ask(name, "job", "submit", json.dumps({"to": target, "brief": f"job {each} of {name}"}))
            if not told.output:
                time.sleep(_PAUSE_SECONDS)
        journal.write(f"{told.output.split()[0]} {target}\n")
        journal.flush()


def work(name: str, jobs: Path, journal: TextIO) -> None:
    """Work on each job that comes."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for done in [threads.submit(_work_on, name, job, journal) for job in _growing(jobs)]:
            done.result()


def _work_on(name: str, job: str, journal: TextIO) -> None:
    """Report every step. One whose command was cut isn't repeated: it may be on the disk; but the last one is."""
    numbers = count(1)
    for kind in STEPS:
        while True:
            number = next(numbers)
            told = report(name, job, kind, n=number)
            journal.write(f"{job} {number} {UNDER_WAY if _UNDER_WAY in told.output else told.code}\n")
            journal.flush()
            may_be_known = told.code == CUT or _ENDED in told.error
            if told.code in {"0", "7"} or (may_be_known and (kind != "completed" or _ENDED in told.error)):
                break
            time.sleep(_PAUSE_SECONDS)


def _growing(path: Path) -> Iterator[str]:
    while not path.exists():
        time.sleep(_PAUSE_SECONDS)
    with path.open() as file:
        line = ""
        while line != "\n":
            line += file.readline()
            if not line.endswith("\n"):
                time.sleep(_PAUSE_SECONDS)
            elif line != "\n":
                yield line.strip()
                line = ""


def verify(name: str, journal: TextIO) -> None:
    """Have each job's record verified."""
    for job in sys.stdin.read().split():
        while (told := ask(name, "job", "verify", job)).code == DOWN:
            time.sleep(_PAUSE_SECONDS)
        journal.write(f"{job} {told.code} {told.error.strip()}\n")


def main() -> None:
    """Do what the words say."""
    match sys.argv[1:]:
        case ["submit", name, seed, number, journal, *targets]:
            with Path(journal).open("a") as file:
                submit(name, seed, number, file, *targets)
        case ["work", name, jobs, journal]:
            with Path(journal).open("a") as file:
                work(name, Path(jobs), file)
        case ["verify", name, journal]:
            with Path(journal).open("w") as file:
                verify(name, file)


if __name__ == "__main__":
    main()
