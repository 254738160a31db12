"""README.md's recipes on MQTT, run as they are written there, but for folders and the port."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.readme import commands, section
from tests.eventually import eventually
from tests.mqtt.mosquitto import PATH, STOP_SECONDS, Mosquitto
from tests.mqtt.outside import JOB, TOKEN, Followed, Outside

PRODUCTION = "Mosquitto in production"


def blocks() -> list[str]:
    """Return the files that the recipe shows: configuration and ACL."""
    return re.findall(r"```\n(.*?)```", section(PRODUCTION), re.DOTALL)


def test_follow_from_another_machine_with_mosquitto_sub(broker: Mosquitto, tmp_path: Path) -> None:
    (command,) = commands("Follow from another machine with mosquitto_sub")
    environment = broker.environment("observer", ID=JOB, PATH=PATH)
    worker = Outside(tmp_path / "worker", broker.environment("worker", AGENTMESH_JOB_TOKEN=TOKEN))
    with Followed(["sh", "-c", f"exec {command}"], environment, tmp_path) as heard:
        topic = f"python/mqtt/jobs/{JOB}/events"
        eventually(lambda: f" 1 {topic}" in broker.log, "it listens", lambda: broker.log)
        worker.job("publish", JOB, "completed", "-m", "by the recipe")
        eventually(lambda: "by the recipe" in heard.said, "it shows the event", lambda: heard.said)
    with Followed(["sh", "-c", f"exec {command}"], environment, tmp_path) as late:
        eventually(lambda: "by the recipe" in late.said, "it shows the end", lambda: late.said)


@pytest.fixture
def production(own: Mosquitto) -> Mosquitto:
    """Return a broker that has nothing of its own but certificates: the rest is the recipe's."""
    configuration, acl = blocks()
    own.use_acl(acl)
    (own.folder / "passwords").unlink()
    for command in commands(PRODUCTION):
        if words := re.fullmatch(r"sudo mosquitto_passwd (.*)/etc/mosquitto/passwords (\w+)", command):
            flags, person = words.groups()
            subprocess.run(
                ["mosquitto_passwd", *flags.split(), own.folder / "passwords", person],
                input=f"{person}-secret\n{person}-secret\n".encode(),
                check=True,
                capture_output=True,
            )
    for name in ("server.crt", "server.key", "ca.crt"):
        shutil.copy(own.folder / "pki" / name, own.folder / name)
    text = configuration.replace("listener 8883", f"listener {own.port} 127.0.0.1")
    text = text.replace("/etc/mosquitto/certs/", f"{own.folder}/").replace("/etc/mosquitto/", f"{own.folder}/")
    (own.folder / "recipe.conf").write_text(f"user root\npersistence_location {own.folder}/\n{text}")
    return own


def test_mosquitto_in_production_lets_each_do_what_it_must_and_no_more(production: Mosquitto, tmp_path: Path) -> None:
    program = shutil.which("mosquitto", path=PATH) or "mosquitto"
    with (production.folder / "log").open("ab") as log:
        process = subprocess.Popen([program, "-c", production.folder / "recipe.conf"], stdout=log, stderr=log)
    try:
        eventually(lambda: "running" in production.log or process.poll() is not None, "it runs", lambda: production.log)
        people = {
            person: Outside(tmp_path / person, production.environment(person, AGENTMESH_JOB_TOKEN=TOKEN))
            for person in ("home", "worker", "observer")
        }
        codes = {person: machine.job("publish", JOB, "completed").returncode for person, machine in people.items()}
        assert codes == {"home": 0, "worker": 0, "observer": 6}
        reads = {
            person: machine.job("subscribe", JOB, "--timeout", "2s").returncode for person, machine in people.items()
        }
        assert reads == {"home": 0, "worker": 5, "observer": 0}
        stranger = people["worker"].job("publish", JOB, "completed", MQTT_PASSWORD=JOB)
        assert stranger.returncode == 6
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
