"""The events of a host's jobs on a real broker: mirrored in order, through everything that a broker does."""

import json
import subprocess

import pytest

from agentmesh.core.event import Event, decode
from tests.mesh.local import LocalHost
from tests.mqtt.mosquitto import Mosquitto
from tests.mqtt.outside import Outside

pytestmark = pytest.mark.tmux


def start(host: LocalHost, broker: Mosquitto, **others: str) -> None:
    host.environment = host.environment | broker.environment("home", **others)
    host.start()


def submit(host: LocalHost, *words: str) -> str:
    done = host.run("agentmesh", "job", "submit", f"{host.name}-dev-first", "--brief", "do it", *words)
    assert done.returncode == 0, done
    return done.stdout.split()[0]


def report(host: LocalHost, job: str, *words: str) -> subprocess.CompletedProcess[str]:
    return host.run("agentmesh", "job", "event", job, *words)


def state(host: LocalHost, job: str) -> dict[str, object]:
    return dict(json.loads(host.run("agentmesh", "job", "show", job, "--json").stdout)["job"])


def token(host: LocalHost, job: str) -> str:
    return (host.agents / "jobs" / job / "token").read_text().strip()


def is_connected(host: LocalHost) -> bool:
    return any(broker.is_connected for broker in host.status().brokers)


def is_mirrored(host: LocalHost) -> bool:
    return all(broker.is_connected and not broker.waiting for broker in host.status().brokers)


def retained(broker: Mosquitto, job: str) -> Event | None:
    """Return what the broker keeps of a job."""
    command = broker.client("mosquitto_sub", "observer", "-t", f"python/mqtt/jobs/{job}/events", "-C", "1", "-W", "1")
    done = subprocess.run(command, capture_output=True, check=False)
    return decode(done.stdout) if done.stdout else None


def test_what_a_host_accepts_is_followed_elsewhere_by_agentmesh_and_by_mosquitto_sub(
    host: LocalHost, broker: Mosquitto
) -> None:
    start(host, broker)
    outside = Outside(host.home / "elsewhere", broker.environment("observer"))
    job = submit(host)
    with outside.follow(job, "--timeout", "20s", AGENTMESH_JOB_TOKEN=token(host, job)) as followed:
        report(host, job, "progress", "--percent", "40")
        report(host, job, "completed", "-m", "all done")
        assert followed.end() == 0
    kinds = [line.split()[1] for line in followed.said.splitlines()]
    assert kinds[-2:] == ["progress", "completed"]
