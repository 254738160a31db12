"""The events of a host's jobs on a real broker: mirrored in order, through everything that a broker does."""

import json
import os
import signal
import sqlite3
import subprocess
import sys

import msgspec
import pytest

from agentmesh.core.event import Event, EventType, content, decode
from agentmesh.core.finding import Health
from tests.eventually import eventually
from tests.findings import findings
from tests.mesh.local import LocalHost
from tests.mqtt.mosquitto import ACL, PATH, Mosquitto
from tests.mqtt.old_broker import OldBroker
from tests.mqtt.outside import TOKEN, Followed, Outside, event, put

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


def log_of(host: LocalHost, job: str) -> list[str]:
    lines = host.run("agentmesh", "job", "log", job).stdout.splitlines()
    return [line.split()[1] for line in lines]


def reason(host: LocalHost) -> str:
    return " ".join(broker.reason for broker in host.status().brokers)


def sees(host: LocalHost, text: str) -> None:
    eventually(lambda: text in reason(host), f"status says {text!r}", lambda: (host.status().brokers, host.log))


def test_what_a_host_accepts_is_followed_elsewhere_by_agentmesh_and_by_mosquitto_sub(
    fresh: LocalHost, broker: Mosquitto
) -> None:
    start(fresh, broker)
    job = submit(fresh)
    elsewhere = fresh.home / "elsewhere"
    outside = Outside(elsewhere, broker.environment("observer"))
    eventually(lambda: is_mirrored(fresh), "the first event is mirrored", fresh.status)
    topic = f"python/mqtt/jobs/{job}/events"
    words = broker.client("mosquitto_sub", "observer", "-i", "heard", "-t", topic, "-C", "3", "-W", "30")
    with (
        outside.follow(job, "--timeout", "30s", AGENTMESH_JOB_TOKEN=token(fresh, job)) as followed,
        Followed([*words], {"PATH": PATH}, elsewhere) as heard,
    ):
        eventually(lambda: f"heard 0 {topic}" in broker.log, "it listens", lambda: broker.log)
        report(fresh, job, "progress", "--percent", "40")
        report(fresh, job, "progress", "--percent", "80", "-m", "nearly")
        report(fresh, job, "completed", "-m", "all done")
        assert (followed.end(), heard.end()) == (0, 0)
    assert [line.split()[1] for line in followed.said.splitlines()] == ["progress", "progress", "completed"]
    messages = [decode(line) for line in heard.said.splitlines()]
    told = [(content(message).get("percent"), content(message).get("message")) for message in messages]
    assert told == [(40, None), (80, "nearly"), (None, "all done")]
    late = outside.job("subscribe", job, "--timeout", "20s", AGENTMESH_JOB_TOKEN=token(fresh, job))
    assert late.returncode == 0
    shown = fresh.run("agentmesh", "status").stdout
    assert f"MQTT broker 127.0.0.1:{broker.port}: connected" in shown
    seen = [fresh.log, broker.log, shown, heard.said]
    assert not any(secret in text for text in seen for secret in (token(fresh, job), "home-secret"))


def test_what_was_retained_long_enough_is_taken_back(fresh: LocalHost, broker: Mosquitto) -> None:
    start(fresh, broker)
    job = submit(fresh)
    report(fresh, job, "error")
    eventually(lambda: is_mirrored(fresh), "it is mirrored", fresh.status)
    assert retained(broker, job) is not None
    fresh.kill()
    with sqlite3.connect(fresh.agents / "mesh.db") as database:
        database.execute("UPDATE retained SET until = 1")
    database.close()
    fresh.start()
    eventually(lambda: retained(broker, job) is None, "nothing is left of it")


@pytest.mark.parametrize("persistence", ["true", "false"])
def test_a_broker_that_is_killed_has_everything_when_it_is_back(
    fresh: LocalHost, own: Mosquitto, persistence: str
) -> None:
    own.set(persistence=persistence)
    own.start()
    start(fresh, own)
    ended, goes_on = submit(fresh), submit(fresh)
    report(fresh, ended, "completed")
    eventually(lambda: is_mirrored(fresh), "both are mirrored", fresh.status)
    own.kill()
    assert report(fresh, goes_on, "progress", "-m", "meanwhile").returncode == 0
    eventually(lambda: not is_connected(fresh), "the loss is noticed", fresh.status)
    fresh.kill()  # a crash in the middle
    fresh.start()
    assert report(fresh, goes_on, "completed").returncode == 0
    assert fresh.status().brokers[0].waiting == 2
    sees(fresh, "refused")
    own.start()
    eventually(lambda: is_mirrored(fresh), "the broker has all", lambda: (fresh.status(), fresh.log))
    for job in (ended, goes_on):
        eventually(lambda job=job: retained(own, job), "the end is retained", lambda: own.log)  # type: ignore[misc]
    lines = [line for line in own.log.splitlines() if "Received PUBLISH from agentmesh-h" in line and goes_on in line]
    assert len(lines) >= 3


def test_a_broker_that_hangs_holds_nobody_up(fresh: LocalHost, own: Mosquitto) -> None:
    own.start()
    start(fresh, own)
    job = submit(fresh)
    eventually(lambda: is_mirrored(fresh), "it is mirrored", fresh.status)
    os.kill(own.pid, signal.SIGSTOP)
    try:
        for number in range(3):
            assert report(fresh, job, "progress", "--percent", str(number)).returncode == 0
        assert fresh.status().brokers[0].waiting == 3
    finally:
        os.kill(own.pid, signal.SIGCONT)
    eventually(lambda: is_mirrored(fresh), "the broker has all", lambda: (fresh.status(), fresh.log))


def test_a_host_that_may_not_write_says_so_and_goes_on(fresh: LocalHost, own: Mosquitto) -> None:
    own.use_acl(ACL.replace("readwrite", "read"))
    own.start()
    start(fresh, own)
    job = submit(fresh)
    sees(fresh, "denies it: Not authorized (reason code 135); we may not publish")
    assert "we may not publish" in fresh.log
    assert "we may not publish" in fresh.run("agentmesh", "status").stdout.replace("\n", " ")
    found = findings(fresh.run("agentmesh", "doctor", "--json").stdout)
    assert found[f"broker 127.0.0.1:{own.port}"].state is Health.BROKEN
    assert report(fresh, job, "completed").returncode == 0
    own.use_acl(ACL)
    own.kill()
    own.start()
    eventually(lambda: is_mirrored(fresh), "the broker has all", lambda: (fresh.status(), fresh.log), 60)


def test_a_job_that_the_broker_denies_holds_up_no_other_and_follows_in_order(fresh: LocalHost, own: Mosquitto) -> None:
    own.start()
    start(fresh, own)
    denied, other = submit(fresh), submit(fresh)
    eventually(lambda: is_mirrored(fresh), "both are mirrored", fresh.status)
    topic = f"python/mqtt/jobs/{denied}/events"
    (fresh.home / "elsewhere").mkdir()
    own.use_acl(ACL.replace("user worker", f"topic deny {topic}\nuser worker"))
    own.reload()
    words = own.client("mosquitto_sub", "observer", "-i", "heard", "-q", "1", "-t", topic, "-C", "3", "-W", "60")
    with Followed([*words], {"PATH": PATH}, fresh.home / "elsewhere") as heard:
        eventually(lambda: f"heard 1 {topic}" in own.log, "it listens", lambda: own.log)
        report(fresh, denied, "progress", "--percent", "1")
        report(fresh, other, "completed")
        eventually(lambda: retained(own, other), "the other's end is there", lambda: (fresh.log, own.log))
        report(fresh, denied, "progress", "--percent", "2")
        sees(fresh, f"we may not publish to {topic}. Jobs whose events wait for that: 1.")
        assert "lacks 2 events" in fresh.run("agentmesh", "status").stdout
        assert f"we may not publish to {topic}" in fresh.log
        found = findings(fresh.run("agentmesh", "doctor", "--json").stdout)
        assert found[f"broker 127.0.0.1:{own.port}"].state is Health.BROKEN
        fresh.kill()
        fresh.start()
        sees(fresh, "Jobs whose events wait for that: 1.")
        own.use_acl(ACL)
        own.reload()
        report(fresh, denied, "completed")
        eventually(lambda: is_mirrored(fresh), "the broker has all", lambda: (fresh.status(), fresh.log))
        assert heard.end() == 0
    assert [content(decode(line)).get("percent") for line in heard.said.splitlines()] == [1, 2, None]
    assert reason(fresh) == ""
    assert (kept := retained(own, denied))
    assert kept.type is EventType.COMPLETED


def test_who_has_the_token_reports_from_outside_and_nobody_else(fresh: LocalHost, broker: Mosquitto) -> None:
    start(fresh, broker)
    job = submit(fresh)
    known = {"AGENTMESH_JOB_TOKEN": token(fresh, job)}
    worker = Outside(fresh.home / "elsewhere", broker.environment("worker", **known))
    eventually(lambda: is_mirrored(fresh), "it is mirrored", fresh.status)
    assert worker.job("publish", job, "claimed").returncode == 0
    eventually(lambda: state(fresh, job).get("worker") == "outsider", "it is claimed", lambda: fresh.log)
    worker.job("publish", job, "completed", AGENTMESH_JOB_TOKEN=TOKEN)
    worker.job("publish", job, "completed", "--no-auth", AGENTMESH_JOB_TOKEN="")
    worker.job("publish", job, "progress", "-m", "mine", AGENT_NAME="another")
    put(broker, job, event(EventType.CANCELLED, 2**62, job=job, sender=fresh.name, token=known["AGENTMESH_JOB_TOKEN"]))
    progress = event(EventType.PROGRESS, 2**61, job=job, token=known["AGENTMESH_JOB_TOKEN"])
    for _ in range(3):
        put(broker, job, progress)
    put(broker, job, event(EventType.COMPLETED, 5, job=job, token=known["AGENTMESH_JOB_TOKEN"]))
    fresh.kill()
    put(broker, job, event(EventType.COMPLETED, 2**61 + 1, job=job, token=known["AGENTMESH_JOB_TOKEN"]))
    fresh.start()
    eventually(lambda: state(fresh, job)["state"] == "completed", "what came meanwhile is taken up", lambda: fresh.log)
    assert log_of(fresh, job) == ["registered", "claimed", "progress", "completed"]
    dropped = json.loads(fresh.run("agentmesh", "job", "show", job, "--json").stdout)["dropped"]
    # What the broker had not been answered about at the crash it sends again, so that some may be noted twice.
    kinds = {" ".join(each.split()[:3]) for each in dropped}
    assert kinds == {"its signature is", "it is not", "only the job's", "its seq 5"}
    assert sum("signature is wrong" in each for each in dropped) >= 2
    assert fresh.run("agentmesh", "job", "verify", job).returncode == 0


@pytest.mark.parametrize("forgery", ["forged", "replayed"])
def test_what_others_retain_at_a_jobs_topic_is_replaced(fresh: LocalHost, broker: Mosquitto, forgery: str) -> None:
    start(fresh, broker)
    job = submit(fresh)
    report(fresh, job, "started")
    report(fresh, job, "error", "-m", "no disk")
    eventually(lambda: is_mirrored(fresh), "it is mirrored", fresh.status)
    record = (fresh.agents / "jobs" / job / "events.ndjson").read_text().splitlines()
    replayed = msgspec.convert(json.loads(record[1])["event"], Event)
    put(broker, job, event(EventType.COMPLETED, job=job) if forgery == "forged" else replayed, "-r")
    eventually(
        lambda: (kept := retained(broker, job)) and kept.type is EventType.ERROR, "the end is back", lambda: broker.log
    )


def test_a_jobs_own_broker_has_its_events_alone_and_its_password_stays(
    fresh: LocalHost, broker: Mosquitto, own: Mosquitto
) -> None:
    own.start()
    start(fresh, broker)
    block = fresh.home / "mine.toml"
    block.write_text(
        f'broker = "127.0.0.1"\nport = {own.port}\ntls = true\nca_certs = "{own.authority.path}"\n'
        'username = "home"\npassword = "home-secret"\n'
    )
    job, other = submit(fresh, "--broker", str(block)), submit(fresh)
    for each in (job, other):
        report(fresh, each, "completed")
    eventually(lambda: len(fresh.status().brokers) == 2 and is_mirrored(fresh), "both are mirrored", fresh.status)
    eventually(lambda: retained(own, job) and retained(broker, other), "each is where it belongs", lambda: own.log)
    assert retained(own, other) is None
    assert retained(broker, job) is None
    kept = fresh.agents / "jobs" / job / "broker.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    shown = [fresh.run("agentmesh", "job", *words).stdout for words in (["show", job, "--json"], ["list", "--json"])]
    files = [path.read_text() for path in kept.parent.iterdir() if path != kept]
    assert not any("home-secret" in text for text in [*shown, *files, fresh.log, own.log])
    block.write_text("broker = 7\n")
    wrong = fresh.run("agentmesh", "job", "submit", "x", "--brief", "x", "--broker", str(block))
    assert (wrong.returncode, "mine.toml can't be used" in wrong.stderr) == (1, True)


def test_a_client_id_that_is_taken_over_is_told_and_taken_back(fresh: LocalHost, broker: Mosquitto) -> None:
    start(fresh, broker)
    eventually(lambda: is_connected(fresh), "it is connected", fresh.status)
    words = broker.client("mosquitto_sub", "observer", "-i", f"agentmesh-{fresh.name}", "-t", "x", "-V", "mqttv5")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as rival:
        try:
            eventually(lambda: "MQTT_CLIENT_ID_PREFIX" in fresh.log, "it is told", lambda: fresh.log)
        finally:
            rival.kill()
    job = submit(fresh)
    report(fresh, job, "completed")
    eventually(lambda: retained(broker, job), "it goes on", lambda: fresh.log)


def test_a_host_moves_to_another_broker_by_its_environment_alone(
    fresh: LocalHost, broker: Mosquitto, own: Mosquitto
) -> None:
    own.start()
    start(fresh, broker)
    job, ended = submit(fresh), submit(fresh)
    report(fresh, ended, "completed")
    report(fresh, job, "started")
    eventually(lambda: is_mirrored(fresh), "the first has all", fresh.status)
    fresh.kill()
    start(fresh, own)
    report(fresh, job, "completed")
    eventually(lambda: is_mirrored(fresh), "the second has all", fresh.status)
    for each in (ended, job):
        assert (kept := retained(own, each)) is not None
        assert kept.type is EventType.COMPLETED
    assert retained(broker, job) is None
    observer = Outside(fresh.home / "elsewhere", own.environment("observer", AGENTMESH_JOB_TOKEN=token(fresh, job)))
    assert observer.job("subscribe", job, "--timeout", "20s").returncode == 0


def test_a_broker_that_speaks_mqtt_3_alone_gets_all_and_gives_nothing_twice(fresh: LocalHost, own: Mosquitto) -> None:
    own.set(cafile="", certfile="", keyfile="")
    own.start()
    with OldBroker(own.port) as old:
        try:
            start(fresh, own, MQTT_PORT=str(old.port), MQTT_TLS="0", MQTT_CA_CERTS="")
            job = submit(fresh)
            report(fresh, job, "started")
            report(fresh, job, "completed")
            eventually(lambda: is_mirrored(fresh), "it is mirrored", fresh.status)
            assert reason(fresh) == ""
            assert log_of(fresh, job) == ["registered", "started", "completed"]
            own.use_acl(ACL.replace("readwrite", "read"))
            own.kill()
            own.start()
            eventually(lambda: is_connected(fresh), "it is connected again", lambda: fresh.log)
            report(fresh, submit(fresh), "started")
            sees(fresh, "it isn't known whether it takes it")
        finally:
            fresh.end()


def test_wrong_settings_keep_no_agent_from_running(fresh: LocalHost, broker: Mosquitto) -> None:
    start(fresh, broker, MQTT_PORT="http")
    assert "MQTT_PORT is 'http'" in fresh.log
    assert fresh.status().brokers == []
    assert "MQTT_PORT" in fresh.run("agentmesh", "doctor").stdout
    assert report(fresh, submit(fresh), "completed").returncode == 0


def test_who_has_no_broker_does_not_load_what_speaks_to_one() -> None:
    look = "import sys, agentmesh.agent.app, agentmesh.cli.app; print({'aiomqtt', 'paho'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, check=True).stdout == b"set()\n"
