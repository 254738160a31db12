"""Time whole processes, from spawn to end, each kind in its turn. Run by its path inside a host; imports no sibling.

Standard input is a JSON object: `warm_ups`, `rounds`, and in `courses` for each name the commands that make one run;
`{round}` in a command's words is the number of the round, from 0.
Standard output is a JSON object: for each name the seconds that each run took, in the order of the rounds.
"""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence

Course = Sequence[list[str]]
"""Commands that are run one after another, and timed as one."""

# What a command says goes nowhere, what it complains of is ours: it is read when the measurement fails.
_STREAMS = [
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
]


def measure(courses: Mapping[str, Course], warm_ups: int, rounds: int) -> dict[str, list[float]]:
    """Run every course once a round, so that the machine's moods strike all alike; returns the seconds of each run."""
    taken: dict[str, list[float]] = {name: [] for name in courses}
    for number in range(-warm_ups, rounds):
        for name, course in courses.items():
            seconds = _run([[word.replace("{round}", str(number)) for word in command] for command in course])
            if number >= 0:
                taken[name].append(seconds)
    return taken


def _run(course: Course) -> float:
    began = time.perf_counter()
    codes = [_exit_code(command) for command in course]
    ended = time.perf_counter()
    if any(codes):
        raise SystemExit(f"The exit codes were {codes}: {json.dumps(course)}")
    return ended - began


def _exit_code(command: list[str]) -> int:
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=_STREAMS)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    json.dump(measure(**json.load(sys.stdin)), sys.stdout)
