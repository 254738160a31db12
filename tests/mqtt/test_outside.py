"""`job publish` and `job subscribe` without agent and mesh, against a real Mosquitto with TLS, passwords and an ACL."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from agentmesh.core.event import EventType, decode
from tests.eventually import eventually
from tests.mqtt.mosquitto import PATH, Mosquitto
from tests.mqtt.old_broker import OldBroker
from tests.mqtt.outside import JOB, TOKEN, Followed, Outside, event

KNOWN = {"AGENTMESH_JOB_TOKEN": TOKEN}


@pytest.fixture
def worker(broker: Mosquitto, tmp_path: Path) -> Outside:
    return Outside(tmp_path / "worker", broker.environment("worker", **KNOWN))


@pytest.fixture
def observer(broker: Mosquitto, tmp_path: Path) -> Outside:
    return Outside(tmp_path / "observer", broker.environment("observer", **KNOWN))


@pytest.fixture
def job(request: pytest.FixtureRequest) -> str:
    """Return a job's id of the test's own: what is retained of one is none of another test's affair."""
    return f"hub-{abs(hash(request.node.name)) % 2**64:016x}"


def put(broker: Mosquitto, job: str, payload: bytes, *words: str) -> None:
    """Publish something by other means."""
    command = broker.client("mosquitto_pub", "worker", "-t", f"python/mqtt/jobs/{job}/events", "-q", "1", "-s", *words)
    subprocess.run(command, input=payload, check=True, timeout=20)


def kinds(text: str) -> list[str]:
    return [line.split()[1] for line in text.splitlines()]


def test_what_one_machine_publishes_another_follows_to_its_end(worker: Outside, observer: Outside, job: str) -> None:
    with observer.follow(job, "--timeout", "30s") as followed:
        assert worker.job("publish", job, "claimed").returncode == 0
        assert worker.job("publish", job, "progress", "--percent", "40", "-m", "half").returncode == 0
        done = worker.job("publish", job, "completed", "--data", '{"rows": 7}')
        assert (done.returncode, done.stdout.split(" has")[0].startswith("completed: 127.0.0.1:")) == (0, True)
        assert followed.end() == 0
    assert kinds(followed.said) == ["claimed", "progress", "completed"]
    assert "by outsider: 40 %, half" in followed.said
    assert observer.job("publish", job, "started", "--message", "x").returncode == 6


@pytest.mark.parametrize(("what", "code"), [("completed", 0), ("error", 8)])
def test_a_late_subscriber_gets_the_end(worker: Outside, observer: Outside, job: str, what: str, code: int) -> None:
    assert worker.job("publish", job, "started").returncode == 0
    assert worker.job("publish", job, what).returncode == 0
    late = observer.job("subscribe", job, "--timeout", "20s", "--json")
    assert late.returncode == code
    assert decode(late.stdout).type is EventType(what)


@pytest.mark.parametrize(("what", "code"), [("cancelled", 9), ("expired", 10)])
def test_what_the_home_alone_says_ends_it_when_it_is_the_homes(
    broker: Mosquitto, observer: Outside, job: str, what: str, code: int
) -> None:
    with observer.follow(job, "--timeout", "30s") as followed:
        put(broker, job, msgspec.json.encode(event(EventType(what), job=job)))
        put(broker, job, msgspec.json.encode(event(EventType(what), job=job, sender="hub")))
        assert followed.end() == code
    assert f"only the job's home says {what}" in followed.told


def test_time_is_over_when_nothing_comes_and_when_no_end_does(worker: Outside, observer: Outside, job: str) -> None:
    assert observer.job("subscribe", job, "--timeout", "1s").returncode == 5
    with observer.follow(job, "--idle-timeout", "3s", "--timeout", "30s") as followed:
        worker.job("publish", job, "started")
        assert followed.end() == 5
    assert kinds(followed.said) == ["started"]
    assert "time is over" in followed.told


def test_with_the_token_nobody_fools_a_follower(broker: Mosquitto, observer: Outside, job: str) -> None:
    genuine = msgspec.json.encode(event(EventType.STARTED, 5, job=job))
    with observer.follow(job, "--timeout", "30s") as followed:
        put(broker, job, genuine)
        put(broker, job, msgspec.json.encode(event(EventType.COMPLETED, 6, job=job, token="00" * 32)))
        put(broker, job, msgspec.json.encode(event(EventType.COMPLETED, 6, job=job, token="")))
        put(broker, job, msgspec.json.encode(event(EventType.COMPLETED, 6, job=JOB)))
        put(broker, job, msgspec.json.encode(event(EventType.COMPLETED, 4, job=job)))  # signed, and out of its order
        put(broker, job, genuine)
        put(broker, job, b"\xff\x00 not an event")
        put(broker, job, b'{"job": []}')
        put(broker, job, msgspec.json.encode(event(EventType.ERROR, 7, job=job)))
        assert followed.end() == 8
    assert kinds(followed.said) == ["started", "error"]
    assert followed.told.count("its signature is wrong") == 2
    assert f"it is of {JOB}" in followed.told
    assert followed.told.count("it is malformed") == 2


def test_without_the_token_it_is_said_that_events_could_be_anybodys(
    broker: Mosquitto, observer: Outside, job: str
) -> None:
    put(broker, job, msgspec.json.encode(event(EventType.COMPLETED, job=job, token="")), "-r")
    followed = observer.job("subscribe", job, "--timeout", "20s", AGENTMESH_JOB_TOKEN="")
    assert (followed.returncode, "these events could be anybody's" in followed.stderr) == (0, True)


def test_a_token_comes_from_a_file_or_the_environment_and_from_nowhere_else(
    worker: Outside, observer: Outside, job: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert worker.job("publish", job, "completed", "--token-file", str(file), AGENTMESH_JOB_TOKEN="").returncode == 0
    followed = observer.job("subscribe", job, "--timeout", "20s", "--token-file", str(file), AGENTMESH_JOB_TOKEN="")
    assert followed.returncode == 0
    without = worker.job("publish", job, "completed", AGENTMESH_JOB_TOKEN="")
    assert (without.returncode, "AGENTMESH_JOB_TOKEN" in without.stderr) == (1, True)
    wrong = worker.job("publish", job, "completed", AGENTMESH_JOB_TOKEN=TOKEN[:4])
    assert (wrong.returncode, "5a5a" in wrong.stderr) == (1, False)
    assert worker.job("publish", job, "completed", "--no-auth", AGENTMESH_JOB_TOKEN="").returncode == 0


def test_a_publisher_without_permission_is_denied_and_told_so(observer: Outside, job: str) -> None:
    denied = observer.job("publish", job, "started")
    assert denied.returncode == 6
    assert "denies it: Not authorized (reason code 135); we may not publish to" in denied.stderr


@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        ({"MQTT_PASSWORD": "wrong"}, 6, "denies it: Not authorized"),
        ({"MQTT_CA_CERTS": ""}, 4, "its certificate isn't trusted"),
        ({"MQTT_CA_CERTS": "/no/such/file"}, 4, "No such file or directory: '/no/such/file'"),
        ({"MQTT_TLS": "0", "MQTT_CA_CERTS": ""}, 4, "it may want TLS"),
        ({"MQTT_PORT": "1"}, 4, "refused"),
        ({"MQTT_PORT": "http"}, 1, "write a number from 1 to 65535"),
        ({"MQTT_TLS": "maybe"}, 1, "MQTT_TLS is 'maybe': write 1 or 0"),
        ({"MQTT_BROKER": ""}, 1, "No MQTT broker is configured. Set MQTT_BROKER"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_wrong_settings_are_told_with_a_remedy(
    observer: Outside, job: str, settings: dict[str, str], code: int, sentence: str
) -> None:
    done = observer.job("subscribe", job, "--timeout", "20s", **settings)
    assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr
    assert "secret" not in done.stderr


def test_a_broker_that_someone_else_vouches_for_is_not_trusted(observer: Outside, own: Mosquitto, job: str) -> None:
    done = observer.job("subscribe", job, "--timeout", "20s", MQTT_CA_CERTS=str(own.authority.path))
    assert (done.returncode, "its certificate isn't trusted" in done.stderr) == (4, True), done.stderr


def test_a_broker_whose_certificate_has_expired_is_not_trusted(own: Mosquitto, tmp_path: Path) -> None:
    certificate, key = own.authority.issue("expired", expired=True)
    own.set(certfile=str(certificate), keyfile=str(key))
    own.start()
    done = Outside(tmp_path / "one", own.environment("worker", **KNOWN)).job("publish", JOB, "started")
    assert (done.returncode, "certificate has expired" in done.stderr) == (4, True), done.stderr


def test_a_broker_that_asks_for_certificates_gets_ours(own: Mosquitto, tmp_path: Path) -> None:
    own.set(require_certificate="true", use_identity_as_username="true", password_file="")
    own.start()
    certificate, key = own.authority.issue("worker")
    settings = own.environment("worker", MQTT_USERNAME="", MQTT_PASSWORD="", **KNOWN)
    machine = Outside(tmp_path / "one", settings)
    ours = {"MQTT_CERTFILE": str(certificate), "MQTT_KEYFILE": str(key)}
    assert machine.job("publish", JOB, "started", **ours).returncode == 0
    without = machine.job("publish", JOB, "started")
    assert (without.returncode, "certificate of ours" in without.stderr) == (4, True), without.stderr
    stranger, its_key = own.authority.issue("observer")
    theirs = {"MQTT_CERTFILE": str(stranger), "MQTT_KEYFILE": str(its_key)}
    assert machine.job("publish", JOB, "started", **theirs).returncode == 6


def test_a_broker_that_speaks_mqtt_3_alone_is_spoken_to_so_and_what_it_drops_is_not_called_taken(
    own: Mosquitto, tmp_path: Path
) -> None:
    own.set(cafile="", certfile="", keyfile="")
    own.start()
    with OldBroker(own.port) as old:
        settings = {"MQTT_PORT": str(old.port), "MQTT_TLS": "", "MQTT_CA_CERTS": "", **KNOWN}
        home = Outside(tmp_path / "home", own.environment("home") | settings)
        observer = Outside(tmp_path / "observer", own.environment("observer") | settings)
        worker = Outside(tmp_path / "worker", own.environment("worker") | settings)
        with observer.follow(JOB, "--timeout", "30s") as followed:
            taken = home.job("publish", JOB, "started")
            assert (taken.returncode, "has taken it" in taken.stdout) == (0, True), taken
            for machine in (observer, worker):  # the one may not write; the other may, and can't see that it did
                unknown = machine.job("publish", JOB, "progress")
                assert (unknown.returncode, "it isn't known" in unknown.stderr) == (7, True), unknown
            assert home.job("publish", JOB, "completed").returncode == 0
            assert followed.end() == 0
        assert kinds(followed.said) == ["started", "progress", "completed"]
        assert observer.job("subscribe", JOB, "--timeout", "20s").returncode == 0
        wrong = home.job("publish", JOB, "started", MQTT_PASSWORD=JOB)
        assert (wrong.returncode, "denies it" in wrong.stderr) == (6, True), wrong


@pytest.mark.parametrize("persistence", ["true", "false"])
def test_a_broker_that_is_killed_and_comes_back_is_followed_on(
    own: Mosquitto, tmp_path: Path, persistence: str
) -> None:
    own.set(persistence=persistence)
    own.start()
    worker = Outside(tmp_path / "worker", own.environment("worker", **KNOWN))
    observer = Outside(tmp_path / "observer", own.environment("observer", **KNOWN))
    with observer.follow(JOB, "--timeout", "60s") as followed:
        worker.job("publish", JOB, "started")
        eventually(lambda: followed.said, "the first event is there")
        own.kill()
        eventually(lambda: "It is tried again" in followed.told, "the loss is told", lambda: followed.told)
        own.start()
        assert worker.job("publish", JOB, "completed").returncode == 0
        assert followed.end() == 0
    assert kinds(followed.said) == ["started", "completed"]


def test_moving_to_another_broker_takes_nothing_but_the_environment(
    broker: Mosquitto, own: Mosquitto, tmp_path: Path, job: str
) -> None:
    own.start()
    for number, there in enumerate((broker, own)):
        settings = {person: there.environment(person, **KNOWN) for person in ("worker", "observer")}
        worker, observer = (Outside(tmp_path / f"{who}-{number}", settings[who]) for who in ("worker", "observer"))
        topic = f"python/mqtt/jobs/{job}/events"
        words = there.client("mosquitto_sub", "observer", "-i", "heard", "-t", topic, "-C", "2", "-W", "30")
        with (
            observer.follow(job, "--timeout", "30s") as followed,
            Followed([*words], {"PATH": PATH}, tmp_path) as heard,
        ):
            eventually(lambda there=there, topic=topic: f"heard 0 {topic}" in there.log, "it listens")  # type: ignore[misc]
            assert worker.job("publish", job, "started").returncode == 0
            assert worker.job("publish", job, "completed").returncode == 0
            assert (followed.end(), heard.end()) == (0, 0)
        assert kinds(followed.said) == ["started", "completed"]
        seen = [decode(line).type.value for line in heard.said.splitlines()]
        assert seen == ["started", "completed"]
        denied = observer.job("publish", job, "started")
        assert (denied.returncode, "denies it" in denied.stderr) == (6, True)
        assert observer.job("subscribe", job, "--timeout", "20s").returncode == 0
