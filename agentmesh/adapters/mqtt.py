"""Talk to an MQTT broker: publish events and know what became of them, hear what others publish.

MQTT 5, in which a broker says that it denies a message: by the reason code of its PUBACK (section 3.4.2.1 of the
standard). A broker that doesn't speak it is spoken to in 3.1.1, where it can't (MQTT-3.3.5-2): there a message is known
to be taken only when the broker sends it back to us, who have subscribed.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiomqtt
from aiomqtt import ProtocolVersion
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agentmesh.core.broker import Broker, Settings
from agentmesh.errors import BrokerDenied, BrokerFailed, EventRejected

ANSWER_SECONDS = 10.0
"""How long a broker may take to answer anything."""
ECHO_SECONDS = 3.0
"""How long it is waited for a message of our own to come back."""
KEEPALIVE_SECONDS = 15
MOST_UNREAD = 100
"""Messages that a broker may send before those before them are done with; what it sends beyond is dropped."""
SESSION_SECONDS = 7 * 24 * 3600
"""How long a broker keeps what comes for a client that has a session while it is away."""
QOS = 1
HEAD = 64
"""More bytes than what stands in a packet of ours beside topic and payload."""
LARGEST_PACKET = 1024 * 1024
"""Bytes that a broker may send as one: an event has 64 KiB, and what JSON adds."""
UNSUPPORTED_VERSION = 0x84
"""MQTT 5's reason codes, here and below; paho gives those of 3.1.1 in them, too."""
_DENIED = frozenset({0x86, 0x87, 0x8A})
"""Wrong user name or password, not authorized, banned."""
_REJECTED = frozenset({0x90, 0x95, 0x99})
"""What concerns the one message: its topic's name, its size, its form."""
_UNSPECIFIED, _TAKEN_OVER = 0x80, 0x8E


class Heard:
    """A message that somebody has published."""

    def __init__(self, message: aiomqtt.Message, done: Callable[[], None]) -> None:
        self.topic = str(message.topic)
        self.payload = message.payload if isinstance(message.payload, bytes) else b""
        self.done = done
        """Tell the broker that it needn't be sent again; of messages with QoS 1 in a session."""


class _Client(aiomqtt.Client):
    """aiomqtt's client, which also tells why a publication was refused, and at once that a connection was."""

    def __init__(
        self,
        broker: Broker,
        protocol: ProtocolVersion,
        identifier: str,
        tls: ssl.SSLContext | None,
        *,
        session: bool,
    ) -> None:
        settings = broker.settings
        is_new = protocol is ProtocolVersion.V5
        super().__init__(
            broker.host,
            broker.port,
            username=settings.username or None,
            password=settings.password or None,
            identifier=identifier,
            protocol=protocol,
            clean_session=None if is_new else not session,
            clean_start=not session if is_new else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            properties=_connect_properties(session=session) if is_new else None,
            timeout=ANSWER_SECONDS,
            keepalive=KEEPALIVE_SECONDS,
            max_queued_incoming_messages=MOST_UNREAD,
            tls_context=tls,
            socket_options=[_AT_ONCE],
            logger=_SILENT,
        )
        self.refusal: ReasonCode | None = None
        """Why the last publication was not taken."""
        self.had_session = False
        self.largest: int | None = None
        """Bytes that the broker takes as one packet; None where it doesn't say."""
        self.echoes: dict[tuple[str, bytes], asyncio.Event] = {}
        self._client.manual_ack_set(session)

    def acknowledge(self, message: aiomqtt.Message) -> None:
        self._client.ack(message.mid, message.qos)

    def close(self) -> None:
        """Drop the connection, where there is no other way to part."""
        self._client._sock_close()  # noqa: SLF001 (paho's own, as there is no public one that closes without a farewell)
        for future in (self._connected, self._disconnected):
            if future.done() and not future.cancelled():
                future.exception()

    def _on_connect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.had_session = bool(flags.session_present)
        self.largest = getattr(properties, "MaximumPacketSize", None)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():  # aiomqtt would wait on for an answer
            self._connected.set_exception(_Parted(reason_code))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self,
        client: mqtt.Client,
        userdata: object,
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        self.refusal = reason_code if reason_code.is_failure else None
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        if came := self.echoes.get((message.topic, bytes(message.payload))):
            came.set()
        super()._on_message(client, userdata, message)


class Connection:
    """A connection to a broker; it ends with BrokerFailed wherever it is used."""

    def __init__(self, broker: Broker, client: _Client, *, speaks_5: bool) -> None:
        self._broker = broker
        self._client = client
        self.speaks_5 = speaks_5
        """Whether the broker tells what it denies."""
        self.had_session = client.had_session
        """Whether the broker remembers us: it has what was published meanwhile, and has kept what it was given."""
        self._gives_echoes = False
        self._turn = asyncio.Lock()

    async def subscribe(self, topic: str, *, own: bool = False) -> None:
        """Hear what is published at a topic, what is retained first; ``own``: our own messages, too.

        A broker that goes by an ACL file (mosquitto.conf(5)) may agree, and then send nothing. Raises BrokerFailed.
        """
        options = SubscribeOptions(qos=QOS, noLocal=not own) if self.speaks_5 else None
        with _translated(self._broker):
            codes = await self._client.subscribe(topic, qos=0 if options else QOS, options=options)
        code = codes[0]
        value = code.value if isinstance(code, ReasonCode) else code
        if value >= 0x80:  # noqa: PLR2004 (where failures begin, in both versions)
            raise BrokerDenied(broker=self._broker.place, reason=f"we may not subscribe to {topic}")
        self._gives_echoes = own or not self.speaks_5

    async def publish(self, topic: str, payload: bytes, *, keep_seconds: int = 0) -> bool:
        """Publish a message, retained for a time or not at all; an empty payload takes back what is retained.

        Returns whether it is known that the broker has taken it. Raises BrokerDenied, EventRejected, BrokerFailed.
        """
        largest = self._client.largest
        if largest is not None and len(payload) + len(topic.encode()) + HEAD > largest:
            raise EventRejected(broker=self._broker.place, reason=f"it takes {largest:,} bytes at most")
        async with self._turn:
            came = self._client.echoes[topic, payload] = asyncio.Event()
            try:
                with _translated(self._broker):
                    properties = _publish_properties(keep_seconds) if self.speaks_5 and keep_seconds else None
                    retain = bool(keep_seconds) or not payload
                    await self._client.publish(topic, payload, qos=QOS, retain=retain, properties=properties)
                if self._client.refusal is not None:
                    raise _failure(self._broker, self._client.refusal, f"we may not publish to {topic}")
                if self._gives_echoes and not self.speaks_5:
                    await self._await_echo(came)
                return self.speaks_5 or came.is_set()
            finally:
                del self._client.echoes[topic, payload]

    async def _await_echo(self, came: asyncio.Event) -> None:
        """Wait until a message has come back; a broker that keeps one from us isn't waited for again."""
        try:
            async with asyncio.timeout(ECHO_SECONDS):
                await came.wait()
        except TimeoutError:
            self._gives_echoes = False

    async def heard(self) -> AsyncIterator[Heard]:
        """Yield what is published at the topics that were subscribed to. Raises BrokerFailed."""
        with _translated(self._broker):
            async for message in self._client.messages:
                yield Heard(message, lambda message=message: self._client.acknowledge(message))  # type: ignore[misc]


@asynccontextmanager
async def connected(broker: Broker, identifier: str, *, session: bool = False) -> AsyncIterator[Connection]:
    """Connect to a broker under a client id; a broker remembers a client with a session for some days.

    Raises BrokerDenied, BrokerFailed.
    """
    try:
        client = await _connect(broker, ProtocolVersion.V5, identifier, session=session)
        connection = Connection(broker, client, speaks_5=True)
    except _SpeaksNoMqtt5:
        client = await _connect(broker, ProtocolVersion.V311, identifier, session=session)
        connection = Connection(broker, client, speaks_5=False)
    try:
        yield connection
        with suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)
    finally:
        client.close()


class _SpeaksNoMqtt5(BrokerFailed):
    """The MQTT broker {broker} doesn't speak MQTT 5: {reason}."""


class _Parted(aiomqtt.MqttCodeError):
    """The broker closed the connection instead of answering."""


_AT_ONCE = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
"""Else an event waits 40 ms behind an acknowledgement of ours, which the broker's kernel is slow to answer (Nagle)."""
_SILENT = logging.getLogger("agentmesh.mqtt")  # what matters of what aiomqtt and paho say is in the errors
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


async def _connect(broker: Broker, protocol: ProtocolVersion, identifier: str, *, session: bool) -> _Client:
    with _translated(broker):
        tls = await asyncio.to_thread(_tls, broker.settings) if broker.settings.tls else None
        client = _Client(broker, protocol, identifier, tls, session=session)
        try:
            return await client.__aenter__()
        except BaseException as error:
            client.close()
            if isinstance(error, aiomqtt.MqttCodeError) and protocol is ProtocolVersion.V5 and _is_old(error):
                raise _SpeaksNoMqtt5(broker=broker.place, reason=error) from error
            raise


def _is_old(error: aiomqtt.MqttCodeError) -> bool:
    value = error.rc.value if isinstance(error.rc, ReasonCode) else error.rc
    return isinstance(error, _Parted) or value == UNSUPPORTED_VERSION


def _tls(settings: Settings) -> ssl.SSLContext:
    for file in (settings.ca_certs, settings.certfile, settings.keyfile):
        if file:
            Path(file).read_bytes()  # whose error names the file, as those of ssl don't
    context = ssl.create_default_context(cafile=settings.ca_certs or None)
    if settings.certfile:
        # A key with a passphrase would be asked for at the terminal.
        context.load_cert_chain(settings.certfile, settings.keyfile or None, password="")
    return context


def _connect_properties(*, session: bool) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = MOST_UNREAD
    properties.MaximumPacketSize = LARGEST_PACKET
    properties.SessionExpiryInterval = SESSION_SECONDS if session else 0
    return properties


def _publish_properties(keep_seconds: int) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = keep_seconds
    return properties


@contextmanager
def _translated(broker: Broker) -> Iterator[None]:
    """Make what goes wrong with a broker an error of ours."""
    try:
        yield
    except aiomqtt.MqttError as error:
        cause = error if isinstance(error, aiomqtt.MqttCodeError) else error.__cause__
        code = cause.rc if isinstance(cause, aiomqtt.MqttCodeError) else None
        if isinstance(error, _Parted):
            reason = (
                "it closes the connection without an answer: it may want TLS (MQTT_TLS=1), or a certificate of ours"
            )
            raise BrokerFailed(broker=broker.place, reason=reason) from error
        if isinstance(code, ReasonCode):
            raise _failure(broker, code, "see its log, and MQTT_USERNAME and MQTT_PASSWORD") from error
        raise BrokerFailed(broker=broker.place, reason=_told(str(cause or error))) from error
    except (OSError, UnicodeError) as error:
        raise BrokerFailed(broker=broker.place, reason=_told(str(error))) from error


def _failure(broker: Broker, code: ReasonCode, what: str) -> BrokerFailed:
    said = f"{code} (reason code {code.value})"
    if code.value in _DENIED:
        return BrokerDenied(broker=broker.place, reason=f"{said}; {what}")
    if code.value in _REJECTED:
        return EventRejected(broker=broker.place, reason=said)
    if code.value == _UNSPECIFIED:  # what paho says of a connection that has ended, too
        said = "it has closed the connection; if that comes again, another client may have our client id: give"
        said += " each its own MQTT_CLIENT_ID_PREFIX"
    if code.value == _TAKEN_OVER:
        said += "; another client has our client id: give each its own MQTT_CLIENT_ID_PREFIX"
    return BrokerFailed(broker=broker.place, reason=said)


def _told(reason: str) -> str:
    """Return what OpenSSL and others say, with a remedy where there is one."""
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        said = reason.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or reason
        return f"its certificate isn't trusted ({said}); MQTT_CA_CERTS names the file of who vouches for it"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return "it asks for a certificate of ours: set MQTT_CERTFILE and MQTT_KEYFILE"
    return reason.removesuffix(".")
