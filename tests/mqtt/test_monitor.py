"""A monitor follows jobs whose home is out of the mesh's reach: over a real broker, and by asking when that fails."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentmesh.adapters import ipc
from agentmesh.config import Paths
from agentmesh.core.event import Event, EventType
from tests.eventually import eventually
from tests.mesh.local import LocalHost, befriend
from tests.mesh.sessions import furnish, session, status, told
from tests.mqtt.mosquitto import Mosquitto
from tests.mqtt.outside import TOKEN, Followed, event, put

pytestmark = pytest.mark.tmux
Two = tuple[LocalHost, LocalHost]


@pytest.fixture
def two(root: Path, own: Mosquitto) -> Iterator[Two]:
    """Yield the home of jobs, and the host of their worker, which dials it: both have the broker."""
    own.start()
    hub, desk = LocalHost("hub", root), LocalHost("desk", root)
    furnish(desk, ["plain"])
    with ExitStack() as life:
        for host in (hub, desk):
            life.callback(host.end)
            host.environment = host.environment | own.environment()
            host.start()
        befriend([hub, desk], deaf=["desk"])
        yield hub, desk


def submit(hub: LocalHost, to: str, *words: str) -> str:
    eventually(lambda: to in hub.addresses(), "the pane is known", hub.addresses)
    done = hub.run("agentmesh", "job", "submit", to, "--brief", "do it", *words)
    assert done.returncode == 0, done
    return done.stdout.split()[0]


def begin(desk: LocalHost) -> str:
    """Start a worker that may be closed but for its jobs; return its address."""
    session(desk, "create", "worker", "--program", "plain", "--prompt", "hello")
    session(desk, "send", "worker", "please run agentmesh session ready-to-close", "--wait", "30s")
    eventually(lambda: status(desk, "worker")["conversation"], "its conversation is recorded", lambda: desk.log)
    eventually(lambda: status(desk, "worker")["lifecycle"] == "ready-to-close", "its report came", lambda: desk.log)
    return str(status(desk, "worker")["address"])


def claim(hub: LocalHost, desk: LocalHost, job: str) -> None:
    session(desk, "send", "worker", f"please run agentmesh job claim {job}", "--wait", "30s")
    eventually(lambda: "claimed" in hub.run("agentmesh", "job", "show", job).stdout, "it is claimed", lambda: hub.log)


class Monitor:
    """What `agentmesh session monitor` says."""

    def __init__(self, followed: Followed, host: LocalHost) -> None:
        self._followed = followed
        self._host = host

    @property
    def said(self) -> list[dict[str, Any]]:
        """All that it has said."""
        return [json.loads(line) for line in self._followed.said.splitlines() if line.endswith("}")]

    def lines(self, event: str, job: str) -> list[dict[str, Any]]:
        """Return the lines of an event of a job."""
        return told(self.said, event, job=job)

    def types(self, job: str) -> list[str]:
        """Return what it has told of a job."""
        return [line["type"] for line in self.lines("job", job)]

    def ways(self, job: str) -> list[str]:
        """Return by which ways it has followed a job."""
        changes = (line for line in self.said if line["event"] in {"following", "polling"} and line["job"] == job)
        return [line.get("over", "polling") for line in changes]

    def awaits(self, condition: Callable[[], object], hope: str) -> None:
        """Wait until something holds of what it says."""
        eventually(condition, hope, lambda: (self._followed.said, self._followed.told, self._host.log))

    def follows(self, job: str, *ways: str) -> None:
        """Wait until it has followed a job by these ways, in this order, and by no others."""
        self.awaits(lambda: self.ways(job) == [*ways], f"{job} is followed by {ways}")


def listening(broker: Mosquitto) -> set[str]:
    """Return by which clients the worker's host listens for who monitors."""
    log = broker.log.rpartition(" starting\n")[2]
    clients = set(re.findall(r" as (agentmesh-desk-\w+)", log))
    return {client for client in clients if not re.search(f"Client {client} .*(closed|disconnected)", log)}


def encoded(made: Event) -> str:
    return msgspec.json.encode(made).decode()


def test_a_job_is_followed_over_mqtt_while_its_home_is_out_of_reach(two: Two, own: Mosquitto) -> None:
    hub, desk = two
    worker = begin(desk)
    ends, stays = submit(hub, worker), submit(hub, worker)
    unsigned = submit(hub, worker, "--no-auth")
    claim(hub, desk, ends)
    token, other_token = ((hub.agents / "jobs" / job / "token").read_text().strip() for job in (ends, stays))
    words = ["--close", *(f"--subscribe={job}" for job in (ends, stays, unsigned))]
    environment = desk.environment | {"RECONCILE_POLL_INTERVAL": "0.3"}
    with Followed(["agentmesh", "session", "monitor", *words], environment, desk.home) as followed:
        monitor = Monitor(followed, desk)
        for job in (ends, stays, unsigned):
            monitor.follows(job, "mesh")
        hub.kill()
        hub.start()  # where it listens now desk doesn't know
        for job in (ends, stays):
            monitor.follows(job, "mesh", "mqtt")
        monitor.follows(unsigned, "mesh", "polling")
        assert "knows no token" in monitor.lines("polling", unsigned)[0]["reason"]

        for forged in (
            event(EventType.COMPLETED, 2**60, job=ends, sender=worker, token=TOKEN),
            event(EventType.CANCELLED, 2**60, job=ends, sender="hub", token=other_token),
        ):
            put(own, ends, forged, "-r")
            asked = ipc.ask(Paths(desk.agents).socket, "session", "close-worker", ends, encoded(forged))
            with pytest.raises(ipc.Refused, match="its signature is wrong"):
                asyncio.run(asked)
        put(own, ends, event(EventType.PROGRESS, 2**61, job=ends, sender=worker, token=token))
        monitor.awaits(lambda: "progress" in monitor.types(ends), "what is genuine is told")
        assert monitor.types(ends) == ["registered", "claimed", "progress"]
        assert desk.log.count("event not believed") >= 2
        assert status(desk, "worker")["alive"]
        put(own, stays, event(EventType.PROGRESS, 2**61, job=stays, token=other_token))
        monitor.awaits(lambda: "progress" in monitor.types(stays), "it is told")

        own.kill()
        for job in (ends, stays):
            monitor.follows(job, "mesh", "mqtt", "polling")
            assert f"127.0.0.1:{own.port}" in monitor.lines("polling", job)[0]["reason"]
        assert hub.run("agentmesh", "job", "cancel", ends).returncode == 0
        own.start()
        for job in (ends, stays):
            monitor.follows(job, "mesh", "mqtt", "polling", "mqtt")
        monitor.awaits(lambda: monitor.lines("closed", ends), "its session is closed")
        assert monitor.types(ends) == ["registered", "claimed", "progress", "cancelled"]
        assert status(desk, "worker")["lifecycle"] == "closed"

        command = ["agentmesh", "session", "monitor", "--subscribe", stays]
        with Followed(command, environment, desk.home) as other:
            Monitor(other, desk).follows(stays, "mqtt")
            assert len(listening(own)) == 2
        eventually(lambda: len(listening(own)) == 1, "the agent listens on for nobody", lambda: own.log)

        befriend([hub, desk], deaf=["desk"])
        monitor.follows(stays, "mesh", "mqtt", "polling", "mqtt", "mesh")
        monitor.follows(unsigned, "mesh", "polling", "mesh")
        assert hub.run("agentmesh", "job", "cancel", stays).returncode == 0
        monitor.awaits(lambda: "cancelled" in monitor.types(stays), "its end is told")
        assert monitor.types(stays) == ["registered", "progress", "cancelled"]
