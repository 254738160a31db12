"""How long an event takes over MQTT: from its report at the job's home until `job subscribe` prints it elsewhere.

Beside it, in the same rounds over the same broker with TLS, `mosquitto_pub` to `mosquitto_sub`: as a process for each
event, and as one that has its connection already and reads lines, as the agent has. All on loopback.
"""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from agentmesh.adapters import ipc
from agentmesh.config import Paths
from agentmesh.core.errand import Step
from agentmesh.core.event import EventType
from tests.bench import table
from tests.bench.figure import Spread
from tests.eventually import eventually
from tests.mesh.local import LocalHost
from tests.mqtt.mosquitto import PATH, Mosquitto

WARM_UPS, ROUNDS = 5, 50
PROGRAM = "job event → job subscribe prints"
AGENT = "the agent is told → job subscribe prints"
BASELINES = {
    PROGRAM: "  mosquitto_pub → mosquitto_sub prints",
    AGENT: "  a line to mosquitto_pub -l → the same prints",
}


def rows() -> Iterator[str]:
    """Measure, and yield a line for each course."""
    folder = Path(tempfile.mkdtemp(prefix="am-"))
    broker, host = Mosquitto(folder), LocalHost("hub", folder)
    try:
        broker.start()
        host.environment = host.environment | broker.environment("home")
        host.start()
        yield from table.heading()
        yield ""
        spreads = {name: Spread.of(seconds[WARM_UPS:]) for name, seconds in _measured(broker, host).items()}
        for name, baseline in BASELINES.items():
            yield table.row(name, spreads[name])
            yield table.row(baseline, spreads[baseline], f"{spreads[baseline].middle / spreads[name].middle:.2f}×")
    finally:
        host.end()
        broker.end()
        shutil.rmtree(folder)


def _measured(broker: Mosquitto, host: LocalHost) -> dict[str, list[float]]:
    job = host.run("agentmesh", "job", "submit", "hub-dev-first", "--brief", "x").stdout.split()[0]
    token = (host.agents / "jobs" / job / "token").read_text().strip()
    told = Step(job=job, type=EventType.PROGRESS, content={"percent": 1})
    socket = Paths(host.agents).socket
    publish = broker.client("mosquitto_pub", "home", "-t", "python/mqtt/jobs/plain/events", "-q", "1")
    hear = broker.client("mosquitto_sub", "home", "-i", "heard", "-t", "python/mqtt/jobs/plain/events", "-q", "1")
    follow = ["agentmesh", "job", "subscribe", job]
    known = host.environment | {"AGENTMESH_JOB_TOKEN": token}

    def tell() -> None:
        code, _, error = asyncio.run(ipc.perform(socket, "job", "report", msgspec.json.encode(told).decode()))
        assert code == 0, error

    def report() -> None:
        done = host.run("agentmesh", "job", "event", job, "progress", "--percent", "1")
        assert done.returncode == 0, done

    def send() -> None:
        subprocess.run([*publish, "-m", "x"], check=True, env={"PATH": PATH})

    taken: dict[str, list[float]] = {name: [] for pair in BASELINES.items() for name in pair}
    with (
        _following(follow, known) as wait,
        _following(hear, {"PATH": PATH}) as heard,
        subprocess.Popen(
            [*publish, "-l", "-i", "lines"], env={"PATH": PATH}, stdin=subprocess.PIPE, bufsize=0
        ) as open_one,
    ):
        assert open_one.stdin is not None
        line = partial(open_one.stdin.write, b"x\n")
        eventually(lambda: broker.log.count(f" 1 python/mqtt/jobs/{job}/events") > 0, "it listens", lambda: broker.log)
        eventually(lambda: "heard 1 " in broker.log, "it listens", lambda: broker.log)
        for _ in range(WARM_UPS + ROUNDS):
            for name, emit, printed in (
                (PROGRAM, report, wait),
                (BASELINES[PROGRAM], send, heard),
                (AGENT, tell, wait),
                (BASELINES[AGENT], line, heard),
            ):
                began = time.perf_counter()
                emit()
                printed()
                taken[name].append(time.perf_counter() - began)
        open_one.stdin.close()
    return taken


@contextmanager
def _following(command: Sequence[str], environment: dict[str, str]) -> Iterator[Callable[[], bytes]]:
    """Run what follows; yield what waits for its next line."""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline
        finally:
            process.kill()
