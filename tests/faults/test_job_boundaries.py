"""Kill an agent between any two steps of a job's events: each comes once, in order, and the job's end is told.

The steps are those that an event was seen to pass through, so that a new one is covered by itself.
"""

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
from asyncio.subprocess import PIPE
from contextlib import ExitStack, closing
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

from agentmesh.adapters import ipc
from agentmesh.agent.answer import as_json
from agentmesh.config import Paths
from agentmesh.core.chain import Entry
from agentmesh.core.errand import Seen
from agentmesh.core.job import JobState
from agentmesh.errors import NoAgent, Unreachable
from tests.core.examples import a_job, an_event
from tests.eventually import eventually
from tests.faults.hosts import MortalHost, Program

pytestmark = pytest.mark.tmux
CUT = -1
"""In place of an exit code: the agent died before it answered."""
OF_EVENTS = re.compile(r"jobs\.|reports\.|Report|appends|job\.json")
"""In the names of the steps of events; a message, as the brief is, has others."""
KEPT = {"after reports.store 1", "after jobs.report 1"}
"""From these steps on an event is on the disk."""


def ask(host: MortalHost, *words: str) -> tuple[int, str]:
    """Have an agent do a command; return its exit code and what it put out."""
    try:
        code, output, error = asyncio.run(ipc.perform(Paths(host.agents).socket, *words))
    except (NoAgent, Unreachable):
        return CUT, ""
    return code, (output or error).decode()


class Struck(NamedTuple):
    """A job in whose events an agent was killed."""

    job: str
    expected: list[int]
    """The numbers of the events that must be there."""
    waiting: subprocess.Popen[str]
    steps: tuple[str, str]


class Scene:
    """A job's home, the host of its worker, which may be the same, and which of them dies."""

    def __init__(self, home: MortalHost, worker: MortalHost, victim: MortalHost) -> None:
        self.home = home
        self.worker = worker
        self.victim = victim
        self.struck: list[Struck] = []
        self._life = ExitStack()

    def submit(self) -> str:
        """Submit a job to the worker's host, be it that its brief comes there now or not, and return its id."""
        wanted = json.dumps({"to": f"{self.worker.name}-dev-first", "brief": "try"})
        told = ask(self.home, "job", "submit", wanted)[1]
        assert told.startswith(f"{self.home.name}-"), told
        return told.split()[0]

    def report(self, job: str, kind: str, number: int) -> tuple[int, str]:
        """Report on a job."""
        step = {"job": job, "type": kind, "content": {"n": number}}
        return ask(self.worker, "job", "report", json.dumps(step))

    def steps_of(self) -> dict[str, list[str]]:
        """Return the steps of a claim and of a completion on the host that is to die."""
        job, steps = self.submit(), dict[str, list[str]]()

        def seen() -> list[str]:
            return list(filter(OF_EVENTS.search, self.victim.steps))

        for number, kind in enumerate(("claimed", "completed")):
            self.victim.list_steps()
            assert self.report(job, kind, number)[0] == 0
            eventually(lambda: seen()[-1].startswith("after"), "it has ended", self._log)
            self.victim.forget_plan()
            first, *rest = seen()
            steps[kind] = [first, *(step for step in rest if step.startswith("after"))]
        return steps

    def strike(self, claiming: str, completing: str) -> None:
        """Kill an agent at a step while a job is claimed, and at a step while it is completed."""
        job = self.submit()
        expected = [0] * self._strike(job, "claimed", 0, claiming)
        code, told = self.report(job, "progress", 1)
        assert code == 0, (claiming, told, self._log())
        waiting = self._wait_for(job)
        is_kept = self._strike(job, "completed", 2, completing)
        if not is_kept:
            assert self.report(job, "completed", 3)[0] == 0
        self.struck.append(Struck(job, [*expected, 1, 2 if is_kept else 3], waiting, (claiming, completing)))

    def check(self, struck: "Struck") -> None:
        """See that what became of a job is as it should be, and was told."""
        assert struck.waiting.wait(30) == 0, (struck.steps, struck.waiting.communicate())
        entries = json.loads(ask(self.home, "job", "watch", json.dumps({"job": struck.job}))[1])["entries"]
        bodies = [json.loads(entry["event"]["body"]) for entry in entries]
        assert [body["n"] for body in bodies if "n" in body] == struck.expected, (struck.steps, entries)
        verified = f"{struck.job}: {len(entries)} events, all as they were accepted\n"
        assert ask(self.home, "job", "verify", struck.job) == (0, verified)

    def _strike(self, job: str, kind: str, number: int, step: str) -> bool:
        """Kill the agent at a step of an event, if one is named; tell whether the event is to come all the same."""
        if not step:
            assert self.report(job, kind, number)[0] == 0
            return True
        self._calm_down(job)
        self.victim.plan("kill", step)
        code, told = self.report(job, kind, number)
        eventually(lambda: self.victim.has_met_its_plan and self.victim.is_dead, f"it dies {step}", self._log)
        self.victim.start()
        if self.victim is self.worker:
            steps = self.steps[kind]
            is_kept = any(each in KEPT for each in steps[: steps.index(step) + 1])
            assert is_kept or code == CUT, (step, code, told)
            return is_kept
        assert code in {0, 7}, (step, code, told)
        return True

    def _calm_down(self, job: str) -> None:
        """Wait until nothing is under way of what an earlier strike has cut off: it passes through the same steps."""

        def owed() -> int:
            with closing(sqlite3.connect(self.worker.agents / "mesh.db", timeout=10)) as connection:
                return int(connection.execute("SELECT count(*) FROM reports").fetchone()[0])

        eventually(lambda: not owed(), "every event is told", self._log)
        assert ask(self.home, "job", "verify", job)[0] == 0  # it waits until all records are whole

    def _wait_for(self, job: str) -> subprocess.Popen[str]:
        """Have somebody wait for a job's end, at the agent that is to die."""
        waiting = subprocess.Popen(
            ("agentmesh", "job", "wait", job),
            env=self.victim.environment,
            cwd=self.victim.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._life.callback(waiting.communicate)
        self._life.callback(waiting.kill)
        assert waiting.stderr is not None
        assert "registered by" in waiting.stderr.readline()
        return waiting

    def _log(self) -> str:
        return f"{self.home.log[-3000:]}\n{self.worker.log[-3000:]}"

    def strike_everywhere(self) -> None:
        """Strike at each step of both kinds of events."""
        self.steps = self.steps_of()
        assert all(len(steps) > 3 for steps in self.steps.values())
        with self._life:
            for claiming, completing in zip_longest(*self.steps.values(), fillvalue=""):
                self.strike(claiming, completing)
            for struck in self.struck:
                self.check(struck)


@pytest.mark.parametrize(
    ("worker", "victim"),
    [
        pytest.param(1, 1, id="worker's agent"),
        pytest.param(1, 0, id="home's agent"),
        pytest.param(0, 0, id="agent of both", marks=pytest.mark.soak),
    ],
)
def test_an_event_survives_an_agent_at_every_step(two: tuple[MortalHost, MortalHost], worker: int, victim: int) -> None:
    Scene(two[0], two[worker], two[victim]).strike_everywhere()


def test_a_job_that_is_submitted_survives_its_agent_at_every_step(two: tuple[MortalHost, MortalHost]) -> None:
    home = two[0]
    program = Program(home, "briefed", "reader")

    def submit(title: str) -> None:
        ask(home, "job", "submit", json.dumps({"to": program.address, "brief": "try", "title": title}))

    home.list_steps()
    submit("clean")
    last = "after jobs.note_briefs 1"
    eventually(lambda: last in home.steps, "the brief is sent", lambda: home.steps)
    home.forget_plan()
    # On a slow machine it is noted as stored, before it is delivered: what follows is the delivery's.
    clean = home.steps[: home.steps.index(last) + 1]
    steps = [step for step in clean if step.startswith("after") or step == clean[0]]
    steps = [step for step in steps if "tmux" not in step]
    stored = steps.index("after inbox.accept_and_store 1")
    for number, step in enumerate(steps):
        home.plan("kill", step)
        submit(f"struck {number}")
        eventually(lambda: home.has_met_its_plan and home.is_dead, f"it dies {step}", lambda: home.log)
        home.start()
        jobs = json.loads(ask(home, "job", "list", "all")[1])
        found = [job for job in jobs if job["title"] == f"struck {number}"]
        is_noted = step == "after jobs.note_briefs 1"
        lost = "" if is_noted else "its brief may not have been sent: the agent ended meanwhile"
        assert [job["lost"] for job in found] == [lost] * (number > 0), step
        for job in found:
            told = ask(home, "job", "verify", job["id"])
            assert told == (0, f"{job['id']}: {2 - is_noted} events, all as they were accepted\n"), step
    # Each brief that was on the disk has come, once: they differ by their files' names.
    eventually(lambda: len(program.got) > len(steps) - stored, "all briefs come", lambda: program.got)
    assert len(set(program.got)) == len(program.got) == 1 + len(steps) - stored


async def test_who_has_seen_the_end_of_a_job_is_told_it_though_the_agent_dies_then(tmp_path: Path) -> None:
    begun = Entry(number=1, received=0, event=an_event())
    answers = [Seen(job=a_job(), entries=(begun,)), Seen(job=a_job(state=JobState.COMPLETED), entries=())]

    async def on_request(_: ipc.Request, answer: ipc.Answer) -> None:
        if answers:
            await answer.write_output(as_json(answers.pop(0)))
            await answer.exit(0)

    async def on_peer(*_: object) -> None:
        raise AssertionError

    async with ipc.listening(Paths(tmp_path).socket, on_request, on_peer):
        environment = {"AGENTMESH_HOME": str(tmp_path), "PATH": str(Path(sys.executable).parent)}
        words = ("agentmesh", "job", "wait", a_job().id)
        waiting = await asyncio.create_subprocess_exec(*words, env=environment, stdout=PIPE, stderr=PIPE)
        assert (await waiting.communicate())[0] == b"completed\n"
    assert waiting.returncode == 0
