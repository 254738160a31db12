"""agentmesh job publish, subscribe: report on a job and follow it over MQTT, on a machine without agent and mesh."""

import asyncio
import getpass
import os
import random
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import typer

from agentmesh.cli.following import TIMED_OUT, told
from agentmesh.cli.job import body_of, kind_of
from agentmesh.config import Paths, load_broker
from agentmesh.core.broker import KEEP_SECONDS, Broker, warnings
from agentmesh.core.delivery import EXIT_CODES, State
from agentmesh.core.duration import parse_duration
from agentmesh.core.event import Event, EventType, JobId, Token, signed
from agentmesh.core.follower import Follower, exit_code
from agentmesh.core.job import OF_THE_HOME
from agentmesh.core.text import without_controls
from agentmesh.errors import BadEvent, BrokerDenied, BrokerFailed, NoBroker, UsageError

TOKEN = "AGENTMESH_JOB_TOKEN"  # noqa: S105 (the name of a variable)
LONGEST_PAUSE = 15.0
"""Seconds between two attempts to get back to a broker."""
_PROGRAM = "agentmesh job"
_ID = typer.Argument(metavar="ID", help="The job's whole id.")
_TOKEN_FILE = typer.Option(
    "", "--token-file", metavar="PATH", help=f"The job's token; else ${TOKEN}. Never an argument."
)
_ENDS = frozenset({EventType.COMPLETED, EventType.ERROR})


def publish(
    identifier: str = _ID,
    what: str = typer.Argument(metavar="claimed|started|progress|completed|error"),
    message: str = typer.Option("", "--message", "-m", metavar="TEXT", help="For who follows the job."),
    data: str = typer.Option("", "--data", metavar="JSON", help="For programs: any JSON."),
    percent: int | None = typer.Option(None, "--percent", min=0, max=100, help="How much is done."),
    token_file: str = _TOKEN_FILE,
    no_auth: bool = typer.Option(False, "--no-auth", help="Don't sign it: for a job that was submitted so."),
) -> None:
    """Report on a job over MQTT, from a machine that needn't have an agent.

    The broker is that of MQTT_BROKER, or of [mqtt] in config.toml. The worker's name is $AGENT_NAME, or user@machine:
    use the same in all reports. Exits with 0 when the broker has taken the event, 6 when it denies it, 7 when it
    doesn't say. Whether the job's home accepts it is for that to say: `agentmesh job show` there.
    """
    broker, token = _broker(), _token(token_file)
    if bool(token) == no_auth:
        wanted = (
            f"Sign it, with --token-file or {TOKEN} (on the job's home: ~/.agents/jobs/<id>/token), or give --no-auth."
        )
        raise UsageError(reason=wanted, program=_PROGRAM)
    event = Event(
        job=_checked_id(identifier),
        seq=time.time_ns() // 1000,
        type=kind_of(what, (kind for kind in EventType if kind not in OF_THE_HOME)),
        time=int(time.time()),
        sender=os.environ.get("AGENT_NAME") or f"{getpass.getuser()}@{socket.gethostname()}",
        body=msgspec.json.encode(body_of(message, data, percent)).decode(),
    )
    raise typer.Exit(asyncio.run(_publish(broker, signed(event, token))))


def subscribe(
    identifier: str = _ID,
    timeout: str = typer.Option("", "--timeout", metavar="TIME", help="How long at most (30s, 5m, 2h)."),
    idle_timeout: str = typer.Option("", "--idle-timeout", metavar="TIME", help="How long without any event."),
    token_file: str = _TOKEN_FILE,
    json: bool = typer.Option(False, "--json", help="Print each event as a line of JSON."),
) -> None:
    """Follow a job over MQTT until it ends, from a machine that needn't have an agent.

    With the job's token only genuine events count. Exits with 0 when it is completed, 8 on an error, 9 when it is
    cancelled, 10 when it expired, 5 when time is over.
    """
    broker, token, checked = _broker(), _token(token_file), _checked_id(identifier)
    seconds = parse_duration(timeout, _PROGRAM) if timeout else None
    idle_seconds = parse_duration(idle_timeout, _PROGRAM) if idle_timeout else None
    if not token:
        _say(f"without the job's token ({TOKEN} or --token-file) these events could be anybody's")
    following = _Following(broker, checked, Follower(checked, token), idle_seconds, as_json=json)
    raise typer.Exit(asyncio.run(following.run(seconds)))


async def _publish(broker: Broker, event: Event) -> int:
    from agentmesh.adapters import mqtt  # noqa: PLC0415 (slow, and only needed here)

    topic = broker.topic_of(event.job)
    async with mqtt.connected(broker, _client_id(broker)) as connection:
        if not connection.speaks_5:
            await connection.subscribe(topic, own=True)
        keep = KEEP_SECONDS if event.type in _ENDS else 0
        is_taken = await connection.publish(topic, msgspec.json.encode(event), keep_seconds=keep)
    if is_taken:
        typer.echo(f"{event.type}: {broker.place} has taken it")
        return 0
    _say(
        f"{event.type}: it isn't known whether {broker.place} has taken it. It speaks MQTT 3.1.1, which doesn't tell,"
        " and has not sent it back: see that we may write to the topic, and read it, or use one that speaks MQTT 5."
    )
    return EXIT_CODES[State.UNCERTAIN]


class _Following:
    """A job that is followed, over connections that may break."""

    def __init__(
        self, broker: Broker, identifier: str, follower: Follower, idle_seconds: int | None, *, as_json: bool
    ) -> None:
        self._broker = broker
        self._job = identifier
        self._follower = follower
        self._idle_seconds = idle_seconds
        self._as_json = as_json
        self._has_heard_broker = False

    async def run(self, seconds: int | None) -> int:
        """Print events until the job ends, or time is over; returns the exit code. Raises BrokerFailed."""
        try:
            async with asyncio.timeout(seconds), asyncio.timeout(self._idle_seconds) as idle:
                return await self._keep_listening(idle)
        except TimeoutError:
            _say("time is over, and the job has not ended")
            return TIMED_OUT

    async def _keep_listening(self, idle: asyncio.Timeout) -> int:
        pause = 0.5
        while True:
            try:
                return await self._listen(idle)
            except BrokerDenied:
                raise
            except BrokerFailed as error:
                if not self._has_heard_broker:
                    raise
                _say(f"{error} It is tried again.")
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 (so that not all come back at once)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _listen(self, idle: asyncio.Timeout) -> int:
        from agentmesh.adapters import mqtt  # noqa: PLC0415 (slow, and only needed here)

        topic = self._broker.topic_of(self._job)
        async with mqtt.connected(self._broker, _client_id(self._broker)) as connection:
            await connection.subscribe(topic, own=True)
            if not self._has_heard_broker:
                _say(f"listening to {topic} at {self._broker.place}")
            self._has_heard_broker = True
            async for heard in connection.heard():
                code = self._take(heard.payload, idle)
                if code is not None:
                    return code
        raise BrokerFailed(broker=self._broker.place, reason="it has ended the conversation")

    def _take(self, payload: bytes, idle: asyncio.Timeout) -> int | None:
        if not payload:  # what was retained was taken back
            return None
        try:
            event = self._follower.take(payload)
        except BadEvent as error:
            _say(f"dropped: {error}")
            return None
        if event is None:
            return None
        typer.echo(msgspec.json.encode(event) if self._as_json else told(event, time.time()))
        if self._idle_seconds:
            idle.reschedule(asyncio.get_running_loop().time() + self._idle_seconds)
        return exit_code(event)


def _broker() -> Broker:
    """Return the broker that is configured. Raises NoBroker, BadBroker, BadConfiguration."""
    broker = load_broker(Paths.from_environment())
    if broker is None:
        raise NoBroker
    for warning in warnings(broker):
        _say(f"careful: {warning}")
    return broker


def _client_id(broker: Broker) -> str:
    return f"{broker.settings.client_id_prefix}{secrets.token_hex(6)}"


def _token(path: str) -> str:
    """Return the job's token, from a file or the environment; empty when there is none. Raises UsageError."""
    try:
        text = Path(path).expanduser().read_text() if path else os.environ.get(TOKEN, "")
        return msgspec.convert(text.strip(), Token) if text.strip() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(reason=f"The token can't be read: {error}.", program=_PROGRAM) from error
    except msgspec.ValidationError as error:  # which would show what is no token, and may be one that was cut
        raise UsageError(reason="That is no token: it has 64 hex digits.", program=_PROGRAM) from error


def _checked_id(identifier: str) -> str:
    try:
        return msgspec.convert(identifier, JobId)
    except msgspec.ValidationError as error:
        reason = f"{identifier!r} is no job's id: write the whole id, <host>-<16 hex digits>."
        raise UsageError(reason=reason, program=_PROGRAM) from error


def _say(text: str) -> None:
    sys.stderr.write(f"job: {without_controls(text)}\n")
    sys.stderr.flush()


def add_to(jobs: Any) -> None:  # noqa: ANN401 (Typer's own decorators are untyped here)
    """Add these commands to those of `agentmesh job`."""
    for command in (publish, subscribe):
        jobs.command()(command)
