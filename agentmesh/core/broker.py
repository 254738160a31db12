"""Which MQTT broker the events of jobs are mirrored to, as settings say. Pure.

Three places have settings: a job's own block, the environment, and ``[mqtt]`` in config.toml, in this order. Where a
job's block or the environment names a broker, nothing that others say of another one is used with it: a password goes
to the broker that it was written for.
"""

from collections.abc import Iterator, Mapping

import msgspec

from agentmesh.errors import BadBroker

VARIABLES = {
    "MQTT_BROKER": "broker",
    "MQTT_PORT": "port",
    "MQTT_TLS": "tls",
    "MQTT_USERNAME": "username",
    "MQTT_PASSWORD": "password",
    "MQTT_CA_CERTS": "ca_certs",
    "MQTT_CERTFILE": "certfile",
    "MQTT_KEYFILE": "keyfile",
    "MQTT_CLIENT_ID_PREFIX": "client_id_prefix",
}
"""The settings that the environment can have."""
TOPIC = "python/mqtt/jobs"
CLIENT_ID_PREFIX = "agentmesh-"
PLAIN_PORT, TLS_PORT = 1883, 8883
"""Those of the service names mqtt and secure-mqtt (IANA)."""
LONGEST_TOPIC = 200
KEEP_SECONDS = 7 * 24 * 3600
"""How long a broker is to keep a job's last event for those who come late."""
PUBLIC = frozenset(
    {
        "test.mosquitto.org",
        "broker.hivemq.com",
        "broker.mqttdashboard.com",
        "mqtt-dashboard.com",
        "broker.emqx.io",
        "mqtt.eclipseprojects.io",
        "iot.eclipse.org",
        "public.mqtthq.com",
        "public.cloud.shiftr.io",
    }
)
"""Brokers that anybody may read, and write to."""
_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``[mqtt]``, or a job's own block: what a person has written."""

    broker: str = ""
    """The broker's host name or address; empty: events are not mirrored."""
    port: int = 0
    """0: 8883 with TLS, 1883 without."""
    tls: bool = False
    username: str = ""
    password: str = ""
    ca_certs: str = ""
    """A file with the certificates of those who vouch for the broker; empty: whom the system trusts."""
    certfile: str = ""
    """A file with our own certificate, for a broker that asks for one."""
    keyfile: str = ""
    """A file with its key; empty: it is in ``certfile``, too."""
    client_id_prefix: str = CLIENT_ID_PREFIX
    topic: str = TOPIC
    """What stands before ``/<id>/events``."""

    def __repr__(self) -> str:
        """Return what may be shown: not the password."""
        return f"Settings({self.broker!r})"


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """A broker, all that is needed to use it checked."""

    settings: Settings

    @property
    def host(self) -> str:
        """Its host name or address."""
        return self.settings.broker

    @property
    def port(self) -> int:
        """Its TCP port."""
        return self.settings.port or (TLS_PORT if self.settings.tls else PLAIN_PORT)

    @property
    def place(self) -> str:
        """What it is called where people read."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def name(self) -> str:
        """What is known of it is kept under: where events go to, and as whom. Nothing secret."""
        return f"{self.settings.username}@{self.place}/{self.settings.topic}"

    @property
    def every_topic(self) -> str:
        """The filter of all jobs' topics."""
        return f"{self.settings.topic}/+/events"

    def topic_of(self, job: str) -> str:
        """Return the topic of a job's events."""
        return f"{self.settings.topic}/{job}/events"

    def job_of(self, topic: str) -> str:
        """Return the job whose events a topic has; empty if it is no such topic."""
        rest = topic.removeprefix(f"{self.settings.topic}/")
        return rest.removesuffix("/events") if rest != topic and rest.endswith("/events") else ""


def chosen(environment: Mapping[str, str], configured: Settings) -> Broker | None:
    """Return the broker that the environment names, else config.toml's; None when neither does. Raises BadBroker."""
    said = {field: environment[name] for name, field in VARIABLES.items() if environment.get(name)}
    base = Settings(topic=configured.topic, client_id_prefix=configured.client_id_prefix)
    settings = msgspec.structs.replace(base if "broker" in said else configured, **_converted(said))
    return broker(settings) if settings.broker else None


def broker(settings: Settings) -> Broker:
    """Return a broker, if its settings fit together. Raises BadBroker."""
    if reason := next(_faults(settings), ""):
        raise BadBroker(reason=reason)
    return Broker(settings=settings)


def warnings(broker: Broker) -> list[str]:
    """Return what a person should know before events go there."""
    settings, told = broker.settings, []
    if settings.broker.lower().rstrip(".") in PUBLIC:
        told.append(f"{settings.broker} is a public broker: anybody can read these events there, and publish others")
    is_near = settings.broker in {"localhost", "::1"} or settings.broker.startswith("127.")
    if settings.password and not settings.tls and not is_near:
        told.append(f"the password goes to {settings.broker} unencrypted: set MQTT_TLS=1, or tls = true")
    return told


def _faults(settings: Settings) -> Iterator[str]:
    """Yield what is wrong, with its remedy."""
    if not settings.broker:
        yield "no broker is named: set MQTT_BROKER, or broker in [mqtt] of config.toml"
    if any(char.isspace() or char in "/@" for char in settings.broker):
        yield f"{settings.broker!r} is no host name: write the name or address alone, and the port in MQTT_PORT"
    if not 0 <= settings.port <= 65535:  # noqa: PLR2004 (the TCP ports)
        yield f"{settings.port} is no port: write one from 1 to 65535"
    if (settings.ca_certs or settings.certfile or settings.keyfile) and not settings.tls:
        yield "there are certificates, but TLS is off: set MQTT_TLS=1, or tls = true"
    if settings.keyfile and not settings.certfile:
        yield "there is a key, but no certificate: set MQTT_CERTFILE, or certfile"
    if settings.password and not settings.username:
        yield "there is a password, but no user name: set MQTT_USERNAME, or username"
    topic = settings.topic
    if not topic or len(topic) > LONGEST_TOPIC or topic[0] in "$/" or topic[-1] == "/" or set("+#\0") & set(topic):
        yield f"{topic!r} can't be what topics begin with: no +, no #, no $ or / at its begin, no / at its end"
    if not settings.client_id_prefix.isascii() or not settings.client_id_prefix.isprintable():
        yield "the prefix of client ids may have printable ASCII characters alone"


def _converted(said: Mapping[str, str]) -> dict[str, object]:
    converted: dict[str, object] = dict(said)
    if "port" in said:
        if not (said["port"].isascii() and said["port"].isdigit() and int(said["port"])):
            raise BadBroker(reason=f"MQTT_PORT is {said['port']!r}: write a number from 1 to 65535")
        converted["port"] = int(said["port"])
    if "tls" in said:
        value = said["tls"].lower()
        if value not in _YES | _NO:
            raise BadBroker(reason=f"MQTT_TLS is {said['tls']!r}: write 1 or 0")
        converted["tls"] = value in _YES
    return converted
