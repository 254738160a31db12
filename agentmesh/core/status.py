"""How an agent is, as it tells the commands of its host. Pure."""

import msgspec

from agentmesh.core.model import Standing, UnixTime


class Trouble(msgspec.Struct, frozen=True):
    """Something that did not work, or that a person may have to look at, as it stands in the log."""

    time: UnixTime
    text: str


class Mirroring(msgspec.Struct, frozen=True):
    """How it stands with an MQTT broker that events are mirrored to."""

    broker: str
    """Its place, ``host:port``."""
    is_connected: bool
    waiting: int
    """Events that it doesn't have yet."""
    reason: str = ""
    """Why not, or what is doubtful; empty when all is well."""
    withheld: int = 0
    """Jobs whose events it lacks because it denies them, while it has those of others."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent is."""

    host: str
    version: str
    code: str = ""
    """A digest of the code that it has loaded; of an agent that doesn't tell, empty."""
    settings: int | None = None
    """When the config.toml that it goes by had been changed last, in nanoseconds since 1970, 0 without one."""
    pid: int
    home: str
    listening: str
    """The address of its own SSH listener; empty without one."""
    panes: int
    """Windows of this host that can be sent to."""
    hosts: int
    """Hosts whose panes are known, this one among them."""
    tmux_folder: str
    """Where it looks for the sockets of tmux servers."""
    servers: list[str]
    """The tmux servers that run."""
    failures: dict[str, str]
    """The tmux servers whose last scan failed, and why."""
    peers: list[Standing]
    waiting: dict[str, int]
    """Messages here that have not ended, by the address of their pane."""
    outbox: dict[str, int]
    """Messages of this host for other hosts that have not ended, by host."""
    brokers: list[Mirroring] = []
    """The MQTT brokers that events are mirrored to."""
    troubles: list[Trouble]
    """The last warnings and errors since it was started, the newest last."""
