"""Which broker is meant, by settings from three places."""

import pytest

from agentmesh.core.broker import VARIABLES, Settings, broker, chosen, warnings
from agentmesh.errors import BadBroker

FILE = Settings(broker="one.example.org", username="me", password="hidden", tls=True, topic="mine/jobs")  # noqa: S106


def test_nothing_is_mirrored_where_nobody_names_a_broker() -> None:
    assert chosen({}, Settings()) is None
    assert chosen({"MQTT_PORT": "1883", "MQTT_TLS": "0"}, Settings()) is None


def test_every_setting_can_come_from_the_environment() -> None:
    values = {"port": "8884", "tls": "yes"}
    said = {name: values.get(field, f"{field}.x") for name, field in VARIABLES.items()}
    found = chosen(said, Settings())
    assert found is not None
    told = {field: getattr(found.settings, field) for field in VARIABLES.values()}
    assert told == {field: f"{field}.x" for field in VARIABLES.values()} | {"port": 8884, "tls": True}


def test_the_environment_adds_to_the_files_broker_and_goes_before_it() -> None:
    found = chosen({"MQTT_PASSWORD": "other", "MQTT_PORT": "9"}, FILE)
    assert found is not None
    assert (found.place, found.settings.password, found.settings.username) == ("one.example.org:9", "other", "me")


def test_a_password_goes_to_no_other_broker_than_it_was_written_for() -> None:
    found = chosen({"MQTT_BROKER": "two.example.org"}, FILE)
    assert found is not None
    assert (found.settings.username, found.settings.password, found.settings.tls) == ("", "", False)
    assert found.topic_of("x") == "mine/jobs/x/events"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (Settings(), "no broker is named"),
        (Settings(broker="mqtt://x"), "write the name or address alone"),
        (Settings(broker="x", port=65536), "write one from 1 to 65535"),
        (Settings(broker="x", ca_certs="ca"), "set MQTT_TLS=1"),
        (Settings(broker="x", keyfile="key", tls=True), "set MQTT_CERTFILE"),
        (Settings(broker="x", password="y"), "set MQTT_USERNAME"),  # noqa: S106
        (Settings(broker="x", topic="a/#"), "can't be what topics begin with"),
        (Settings(broker="x", topic="$SYS"), "can't be what topics begin with"),
        (Settings(broker="x", client_id_prefix="ü"), "printable ASCII"),
    ],
)
def test_settings_that_do_not_fit_are_told_with_a_remedy(settings: Settings, sentence: str) -> None:
    with pytest.raises(BadBroker, match=sentence):
        broker(settings)


@pytest.mark.parametrize("said", [{"MQTT_PORT": "0"}, {"MQTT_PORT": "x"}, {"MQTT_PORT": "²"}, {"MQTT_TLS": "maybe"}])
def test_what_the_environment_says_wrongly_is_told(said: dict[str, str]) -> None:
    with pytest.raises(BadBroker, match=next(iter(said))):
        chosen(said, FILE)


def test_the_port_follows_tls() -> None:
    assert broker(Settings(broker="x")).port == 1883
    assert broker(Settings(broker="x", tls=True)).port == 8883
    assert broker(Settings(broker="::1", port=1)).place == "[::1]:1"


@pytest.mark.parametrize("name", ["test.mosquitto.org", "Broker.HiveMQ.com", "broker.emqx.io."])
def test_a_public_broker_is_warned_of(name: str) -> None:
    (warning,) = warnings(broker(Settings(broker=name)))
    assert "anybody can read" in warning


def test_a_password_in_the_clear_is_warned_of_except_on_this_machine() -> None:
    there, here = (broker(Settings(broker=name, username="x", password="y")) for name in ("a.example", "127.0.0.1"))  # noqa: S106
    assert (len(warnings(there)), warnings(here)) == (1, [])


def test_a_password_is_not_shown() -> None:
    assert "hidden" not in repr(FILE) + repr(broker(FILE)) + broker(FILE).name


def test_a_topic_tells_its_job() -> None:
    found = broker(Settings(broker="x"))
    assert found.job_of(found.topic_of("hub-00112233aabbccdd")) == "hub-00112233aabbccdd"
    assert [found.job_of(topic) for topic in ("other/x/events", "python/mqtt/jobs/x", "python/mqtt/jobs")] == [
        "",
        "",
        "",
    ]
