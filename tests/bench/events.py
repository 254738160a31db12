"""The figures of jobs: from an event's emission to the line that `job wait` prints for it, and events a second.

The agent's socket is asked, as `agentmesh job event` does after its own start. Homes are in memory: a commit costs its
transaction here, but not the disk's part of it.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from agentmesh.adapters import ipc
from tests.bench.figure import Spread
from tests.bench.scene import Scene
from tests.bench.table import row
from tests.e2e.hosts import Host
from tests.e2e.namespaces import wait_until

ROUNDS, WARM_UPS = 300, 10
EVENTS, EMITTERS = 2000, 20
TARGET_SECONDS = 0.1
"""That 99 of 100 events are printed within."""


def present(scene: Scene, ssh: Spread) -> Iterator[str]:
    """Measure between two hosts and on one, and yield the table's lines; `ssh` is a round trip over an open link."""
    for name, emitter in (
        ("event → `job wait` prints, over a link", scene.there),
        ("the same, on its home", scene.here),
    ):
        spread = Spread.of(_latencies(scene, emitter))
        reached = "yes" if spread.most <= TARGET_SECONDS else "NO"
        yield ""
        yield row(name, spread, "", f"≤ {TARGET_SECONDS * 1000:.0f}", reached)
        yield row("  ssh true over a warm ControlMaster", ssh, f"{ssh.middle / spread.middle:.2f}×")
    yield ""
    for name, emitter in (("over a link", scene.there), ("on its home", scene.here)):
        yield f"events a second through one agent, {EMITTERS} emitters, {name}: {_rate(scene, emitter):,.0f}"


def _latencies(scene: Scene, emitter: Host) -> list[float]:
    """Emit one event after the other; return how long each took to be printed on the job's home."""
    job = _submitted(scene)
    waiting = scene.here.start("agentmesh", "job", "wait", job)
    _report(emitter, job, "claimed", {})
    taken = []
    for number in range(WARM_UPS + ROUNDS):
        began = time.perf_counter()
        _report(emitter, job, "progress", {"message": f"number {number};"})
        _await(waiting.output, f"number {number};")
        taken.append(time.perf_counter() - began)
    _report(emitter, job, "completed", {})
    wait_until(lambda: waiting.poll() == 0, "the wait ends")
    return taken[WARM_UPS:]


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
