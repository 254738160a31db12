"""A machine without agent and mesh: nothing but `agentmesh`, a home that is empty, and environment variables."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

import msgspec

from agentmesh.core.event import Event, EventType, signed
from tests.eventually import eventually
from tests.mqtt.mosquitto import Mosquitto

TOKEN = "5a" * 32
JOB = "hub-00112233aabbccdd"


class Outside:
    """A person or program there, with what the environment says."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        home.mkdir(exist_ok=True)
        self._home = home
        self._environment = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AGENT_NAME": "outsider",
            **environment,
        }

    def job(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `agentmesh job`."""
        command = ["agentmesh", "job", *words]
        done = subprocess.run(
            command,
            env=self._environment | environment,
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not (self._home / ".agents").exists()
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def follow(self, *words: str, **environment: str) -> "Followed":
        """Start `agentmesh job subscribe`, and wait until it listens."""
        followed = Followed(["agentmesh", "job", "subscribe", *words], self._environment | environment, self._home)
        eventually(lambda: "listening to" in followed.told, "it listens", lambda: followed.told)
        return followed


class Followed:
    """A command that follows a job."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self._said = folder / f"followed-{len(list(folder.iterdir()))}"
        self._told = folder / f"{self._said.name}.err"
        with self._said.open("wb") as out, self._told.open("wb") as error:
            self._process = subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def said(self) -> str:
        """What it has printed."""
        return self._said.read_text()

    @property
    def told(self) -> str:
        """What it has told on the side."""
        return self._told.read_text()

    def end(self, seconds: float = 30.0) -> int:
        """Wait for its end; return its exit code."""
        return self._process.wait(seconds)


def event(kind: EventType, seq: int = 1, *, token: str = TOKEN, **others: object) -> Event:
    """Return an event of the job."""
    fields: dict[str, object] = {"job": JOB, "time": 0, "sender": "outsider", "seq": seq, "type": kind, **others}
    return signed(Event(**fields), token)  # type: ignore[arg-type]


def put(broker: Mosquitto, job: str, published: Event, *words: str) -> None:
    """Publish an event of a job, as mosquitto_pub does with these words."""
    topic = f"python/mqtt/jobs/{job}/events"
    command = broker.client("mosquitto_pub", "worker", "-t", topic, "-q", "1", "-s", *words)
    subprocess.run(command, input=msgspec.json.encode(published), check=True, timeout=20)
