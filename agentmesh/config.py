"""Where things are and what the user has chosen: paths, self.conf, peers.conf, config.toml, profiles."""

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError

from agentmesh.core import workspace
from agentmesh.core.address import plain_name
from agentmesh.core.broker import Broker, Settings, broker, chosen
from agentmesh.core.model import Profile
from agentmesh.core.registry import address_prefix
from agentmesh.errors import BadBroker, BadConfiguration

LONGEST_SOCKET_PATH = 100
"""Bytes; the kernels' limits are 108 (Linux, unix(7)) and 104 (macOS)."""
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Paths:
    """Every file of ours, below one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.peers = home / "peers.conf"
        self.self = home / "self.conf"
        self.config = home / "config.toml"
        self.local = home / "local.toml"
        self.registry = home / "registry.toml"
        self.database = home / "mesh.db"
        self.lock = home / "agent.lock"
        self.spool = home / "spool"
        self.event = self.spool / "tmux"
        self.pane_locks = self.spool / "panes"
        self.buffers = self.spool / "buffers"
        self.input = self.spool / "input"
        self.bin = home / "bin"
        self.log = home / "log" / "agent.log"
        self.key = home / "key"
        self.authorized_keys = home / "authorized_keys"
        self.sshd_keys = Path.home() / ".ssh" / "authorized_keys"
        self.profiles = home / "profiles"
        self.jobs = home / "jobs"
        self.reviews = home / "reviews"
        self.captures = home / "captures"
        self.agent_sessions = home / "agent-sessions.toml"
        self.workspaces = home / workspace.FOLDER
        self.socket_pointer = home / "agent.sock.path"

    @property
    def socket(self) -> Path:
        """The agent's socket: in the home, or in a short private folder where the home's path is too long for one."""
        path = self.home / "agent.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        short = sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")) / f"agentmesh-{os.getuid()}-{short}" / "agent.sock"  # noqa: S108 (the agent makes the folder 0700 and checks its owner)

    @property
    def launcher(self) -> Path:
        """The ``agentmesh`` of this home, at the same path on every host."""
        return self.bin / "agentmesh"

    @property
    def unusual_home(self) -> str:
        """The home, where commands must be told of it; else empty."""
        return "" if self.home == Path.home() / ".agents" else str(self.home)

    @classmethod
    def from_environment(cls) -> "Paths":
        """Return the paths below ``$AGENTMESH_HOME``, or ``~/.agents``."""
        chosen = os.environ.get("AGENTMESH_HOME")
        return cls(Path(chosen).absolute() if chosen else Path.home() / ".agents")


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[listen]``: the agent's own SSH listener."""

    address: str = ""
    """``host:port`` to listen on; port 0 takes a free one; empty: don't listen."""


class Tmux(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[tmux]``: what is scanned."""

    servers: tuple[str, ...] = ()
    """Socket names (``tmux -L``) or paths, besides those found in the user's tmux socket folder."""
    exclude: tuple[str, ...] = ("scratch", "tmp", "temp", "test", "test-*", "_*")
    """Patterns of session names that are not registered."""


class Drops(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[drops]``: files from other panes."""

    folder: str = "~/.agent-inbox"
    largest: int = 2 * 1024**3
    """Bytes that one file may have."""


class Queue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[queue]``: messages that wait for a pane."""

    longest: int = 100
    """How many may wait for one pane; more are refused."""
    pause: float = 1.0
    """Seconds between two of them, so that they don't flood a program."""


class Jobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[jobs]``: what is kept of jobs and reviews that are over."""

    keep: Annotated[int, msgspec.Meta(ge=0)] = 90
    """Days; 0: for ever."""


class Sync(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[sync]``: how often everything is looked at again, though nothing was heard."""

    interval: float = 300.0
    """Seconds."""


class Mesh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[mesh]``: how many links an agent keeps."""

    full: int = 64
    """Up to so many peers a link is kept to each; of more, to a few, and others are dialled when they are needed."""


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[identity]``: how a host has to show who it is."""

    require_pinned: bool = False
    """Refuse hosts that call with a key that isn't pinned to their name, and slices that nobody vouches for."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``config.toml``: everything optional."""

    listen: Listen = Listen()
    tmux: Tmux = Tmux()
    drops: Drops = Drops()
    queue: Queue = Queue()
    jobs: Jobs = Jobs()
    sync: Sync = Sync()
    mesh: Mesh = Mesh()
    identity: Identity = Identity()
    mqtt: Settings = Settings()
    """Where the events of jobs are mirrored to."""


def load_config(paths: Paths) -> Config:
    """Read config.toml. Raises BadConfiguration, which names the line or the key."""
    try:
        document = tomlkit.parse(paths.config.read_text())
    except FileNotFoundError:
        return Config()
    except (TOMLKitError, OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(path=paths.config, reason=error) from error
    try:
        return msgspec.convert(document.unwrap(), Config)
    except msgspec.ValidationError as error:
        raise BadConfiguration(path=paths.config, reason=error) from error


def settings_time(paths: Paths) -> int:
    """Return when config.toml was changed last, in nanoseconds since 1970; 0 when there is none."""
    try:
        return paths.config.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def load_broker(paths: Paths) -> Broker | None:
    """Return the broker that the environment or config.toml names, if one does. Raises BadBroker, BadConfiguration."""
    found = chosen(os.environ, load_config(paths).mqtt)
    folder = Path.cwd() if os.environ.get("MQTT_BROKER") else paths.home
    return _anchored(found.settings, folder) if found else None


def read_broker(path: Path) -> Broker:
    """Return the broker that a job's own block names: a file with what ``[mqtt]`` may have. Raises BadConfiguration."""
    try:
        settings = msgspec.convert(tomlkit.parse(path.read_text()).unwrap(), Settings)
        return _anchored(settings, path.absolute().parent)
    except (TOMLKitError, OSError, UnicodeDecodeError, msgspec.ValidationError, BadBroker) as error:
        raise BadConfiguration(path=path, reason=str(error).removesuffix(".")) from error


def _anchored(settings: Settings, folder: Path) -> Broker:
    """Return the broker, its files named from the root: the agent has another working folder. Raises BadBroker."""
    names = {name: getattr(settings, name) for name in ("ca_certs", "certfile", "keyfile")}
    files = {name: str(folder / Path(file).expanduser()) for name, file in names.items() if file}
    return broker(msgspec.structs.replace(settings, **files))


def load_alias(paths: Paths) -> str:
    """Return this host's alias: what self.conf says, else the machine's short name. Raises BadConfiguration."""
    lines = _lines(paths.self)
    alias = lines[0] if lines else plain_name(socket.gethostname().split(".")[0])
    if not is_alias(alias):
        raise BadConfiguration(path=paths.self, reason=f"{alias!r} is no alias; use letters, digits, '-', '_' and '.'")
    return alias


def is_alias(text: str) -> bool:
    """Tell whether a text can be the alias of a host.

    >>> is_alias("worker-1"), is_alias("-oProxyCommand=x")
    (True, False)
    """
    return bool(_ALIAS.fullmatch(text))


def load_peers(paths: Paths) -> list[str]:
    """Return the aliases of peers.conf, each once, in order. Raises BadConfiguration."""
    peers = _lines(paths.peers)
    for alias in peers:
        if not is_alias(alias):
            reason = f"{alias!r} is no SSH alias; write one alias a line, and describe it in ~/.ssh/config"
            raise BadConfiguration(path=paths.peers, reason=reason)
    _check_distinct(paths.peers, [load_alias(paths), *peers])
    return list(dict.fromkeys(peers))


def _check_distinct(path: Path, aliases: list[str]) -> None:
    """Raise BadConfiguration where two hosts' addresses would begin alike."""
    first: dict[str, str] = {}
    for alias in aliases:
        other = first.setdefault(address_prefix(alias), alias)
        if other != alias:
            reason = f"the addresses of {other} and {alias} would begin alike; give one of the two hosts another alias"
            raise BadConfiguration(path=path, reason=reason)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(path=path, reason=error) from error
    return [line for raw in text.splitlines() if (line := _content(raw))]


def with_peer(text: str, alias: str) -> str:
    r"""Return the text of peers.conf with an alias in it; what stands there stays.

    >>> with_peer("# mine\nhub", "worker-1")
    '# mine\nhub\nworker-1\n'
    """
    if any(_content(line) == alias for line in text.splitlines()):
        return text
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{alias}\n"


def without_peer(text: str, alias: str) -> str:
    r"""Return the text of peers.conf without the lines of an alias; what else stands there stays.

    >>> without_peer("# mine\nhub\nworker-1 # the big one\n", "worker-1")
    '# mine\nhub\n'
    """
    return "".join(line for line in text.splitlines(keepends=True) if _content(line) != alias)


def _content(line: str) -> str:
    return line.partition("#")[0].strip()


def load_profiles(paths: Paths) -> Mapping[str, Profile]:
    """Return the profiles by name: those shipped, and over them the user's own. Raises BadConfiguration."""
    shipped = resources.files("agentmesh") / "profiles"
    own = sorted(paths.profiles.glob("*.toml")) if paths.profiles.is_dir() else []
    profiles = {}
    for source in [*sorted(shipped.iterdir(), key=lambda file: file.name), *own]:
        if not source.name.endswith(".toml"):
            continue
        try:
            profile = msgspec.convert(tomllib.loads(source.read_text(encoding="utf-8")), Profile)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, OSError, UnicodeDecodeError) as error:
            raise BadConfiguration(path=source, reason=error) from error
        profiles[profile.name] = profile
    return profiles


def hooks_file() -> Path:
    """Return the tmux hooks that are shipped."""
    return shipped("hooks/agentmesh.tmux.conf")


def shipped(name: str) -> Path:
    """Return a file that is shipped beside the code: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.exists() else package.parent / name
