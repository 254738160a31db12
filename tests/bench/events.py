"""The figures of jobs: from an event's emission to the line that `job wait` prints for it, and events a second.

Beside them, in the same rounds, what a person would do with ssh and files alone: write a line into a log, and follow
that with `tail -f`. Homes are in memory: a commit costs its transaction here, but not the disk's part of it.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from agentmesh.adapters import ipc
from tests.bench.figure import Spread
from tests.bench.scene import Scene
from tests.bench.table import row
from tests.e2e.hosts import Host
from tests.e2e.namespaces import Program, wait_until

TOLD, RUN, WARM_UPS = 300, 60, 5
"""Rounds in which the agent is told, those in which a program is run, and those of either that don't count."""
EVENTS, EMITTERS = 2000, 20
LINES, WRITERS = 400, 8
"""Of the rates' baselines; an sshd has ten sessions at most on a connection."""
TARGET_SECONDS = 0.1
"""That 99 of 100 events are printed within of which the agent is told; what starts a program costs that, too."""
_LOG = "events.log"
_CONTROL = "/run/control-home"

Emit = Callable[[str], Program | None]
"""Emits an event, or writes a line, with a text; returns the program that does so, if one does."""


def present(scene: Scene) -> Iterator[str]:
    """Measure between two hosts and on one, and yield the table's lines."""
    here, there = scene.here, scene.there
    there.run("ssh", "-fNM", "-S", _CONTROL, here.name)
    for host in (here, there):
        host.outside(_LOG).touch()
    tail = ("tail", "-n", "+1", "-f", _LOG)
    near, far = here.start(*tail), here.start("ssh", "-S", scene.control, there.name, *tail)
    echo = ("ssh", "-S", _CONTROL, here.name)
    yield from _compared(
        scene,
        there,
        TOLD,
        ("event → `job wait` prints, over a link", lambda job: partial(_tell, there, job)),
        ("  line → `ssh tail -f` prints", partial(_append, there), far.output),
    )
    yield from _compared(
        scene,
        there,
        RUN,
        ("`job event` → `job wait` prints, over a link", lambda job: partial(_run_event, there, job)),
        (
            "  warm `ssh home 'echo >>log'` → `tail -f`",
            lambda text: there.start(*echo, f"echo {text} >>{_LOG}"),
            near.output,
        ),
    )
    yield from _compared(
        scene,
        here,
        TOLD,
        ("event → `job wait` prints, on its home", lambda job: partial(_tell, here, job)),
        ("  line → `tail -f` prints", partial(_append, here), near.output),
    )
    yield ""
    for name, emitter, way, what in (
        ("over a link", there, f"ssh -S {_CONTROL} {here.name} ", "a warm ssh each"),
        ("on its home", here, "flock lock sh -c ", "flock and a shell each"),
    ):
        rate, lines = _rate(scene, emitter), _line_rate(emitter, here, way)
        yield f"events a second through one agent, {EMITTERS} emitters, {name}: {rate:,.0f}"
        yield f"  lines a second into a log, {WRITERS} writers, {what}: {lines:,.0f} ({rate / lines:.1f}×)"


def _compared(
    scene: Scene,
    emitter: Host,
    rounds: int,
    measured: tuple[str, Callable[[str], Emit]],
    baseline: tuple[str, Emit, Path],
) -> Iterator[str]:
    """Take turns between events of a job and lines of a log; yield the table's line for each."""
    job = _submitted(scene)
    waiting = scene.here.start("agentmesh", "job", "wait", job)
    _report(emitter, job, "claimed", {})
    name, emit_of = measured
    courses = {name: (emit_of(job), waiting.output), baseline[0]: baseline[1:]}
    taken: dict[str, list[float]] = {each: [] for each in courses}
    for number in range(WARM_UPS + rounds):
        for each, (emit, output) in courses.items():
            began = time.perf_counter()
            program = emit(f"number-{number}.")
            _await(output, f"number-{number}.")
            taken[each].append(time.perf_counter() - began)
            if program:
                program.wait()
    _report(emitter, job, "completed", {})
    wait_until(lambda: waiting.poll() == 0, "the wait ends")
    ours, theirs = (Spread.of(seconds[WARM_UPS:]) for seconds in taken.values())
    verdict = (f"≤ {TARGET_SECONDS * 1000:.0f}", "yes" if ours.most <= TARGET_SECONDS else "NO")
    yield ""
    yield row(name, ours, "", *(verdict if rounds == TOLD else ()))
    yield row(baseline[0], theirs, f"{theirs.middle / ours.middle:.2f}×")


def _tell(emitter: Host, job: str, text: str) -> None:
    """Have the agent take an event, as `agentmesh job event` does after its own start."""
    _report(emitter, job, "progress", {"message": text})


def _run_event(emitter: Host, job: str, text: str) -> Program:
    return emitter.start("agentmesh", "job", "event", job, "progress", "-m", text)


def _append(host: Host, text: str) -> None:
    with host.outside(_LOG).open("a") as log:
        log.write(f"{text}\n")


def _await(file: Path, text: str) -> None:
    """Return when a file ends so, looked at about two thousand times a second. Raises TimeoutError."""
    deadline = time.monotonic() + 10
    while text.encode() not in file.read_bytes()[-200:]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited in vain until {text!r} is printed.")
        time.sleep(0.0005)


def _rate(scene: Scene, emitter: Host) -> float:
    """Return how many events a second are accepted that come from many at once, a job each."""
    jobs = [_submitted(scene) for _ in range(EMITTERS)]
    socket = emitter.outside(".agents/agent.sock")

    async def emit(job: str) -> None:
        for _ in range(EVENTS // EMITTERS):
            code, _, error = await ipc.perform(socket, *_words(job, "progress", {}))
            if code:
                raise AssertionError(error)

    async def all_of_them() -> float:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(emit(job))
        return EVENTS / (time.perf_counter() - began)

    return asyncio.run(all_of_them())


def _line_rate(writer: Host, reader: Host, way: str) -> float:
    """Return how many lines a second get into a log, each by a command of its own, from several loops at once."""
    log = f"rate-{writer.name}.log"
    loop = f"for i in $(seq {LINES // WRITERS}); do {way}'echo line >>{log}'; done"
    script = f"for w in $(seq {WRITERS}); do ({loop}) & done; wait"
    began = time.perf_counter()
    writer.run("sh", "-c", script, timeout=120)
    taken = time.perf_counter() - began
    assert len(reader.outside(log).read_text().splitlines()) == LINES
    return LINES / taken


def _submitted(scene: Scene) -> str:
    """Submit a job that both hosts may report on."""
    to = f"{scene.address(scene.here)},{scene.address(scene.there)}"
    return scene.here.run("agentmesh", "job", "submit", to, "--brief", "bench").stdout.strip()


def _report(host: Host, job: str, kind: str, content: Mapping[str, object]) -> None:
    code, _, error = asyncio.run(ipc.perform(host.outside(".agents/agent.sock"), *_words(job, kind, content)))
    if code:
        raise AssertionError(error)


def _words(job: str, kind: str, content: Mapping[str, object]) -> tuple[str, ...]:
    return "job", "report", json.dumps({"job": job, "type": kind, "content": content})
