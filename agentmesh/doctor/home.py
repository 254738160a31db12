"""Check our home on the disk: the settings, who may read it, where it lies, what is known of the mesh."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from agentmesh.adapters.files import shown_path
from agentmesh.config import Paths, load_alias, load_broker, load_config, load_peers, load_profiles, settings_time
from agentmesh.core.filesystem import is_on_network, kind_of
from agentmesh.core.finding import Finding, broken, ok, warning
from agentmesh.core.status import Status
from agentmesh.errors import BadBroker, BadConfiguration
from agentmesh.install.agent import Silent

SEEN_BY_OTHERS = 0o077
WRITTEN_BY_OTHERS = 0o022


def check_settings(answer: Status | Silent | None, paths: Paths) -> Finding:
    """See that what the user has written can be read, and that the agent goes by it."""
    try:
        alias = load_alias(paths)
        load_config(paths)
        load_peers(paths)
        load_profiles(paths)
        load_broker(paths)
    except BadBroker as error:
        return broken(
            "settings", str(error), "correct [mqtt] in config.toml, or the MQTT_ variables of the environment"
        )
    except BadConfiguration as error:
        return broken("settings", str(error), f"correct {error.facts['path']}")
    if isinstance(answer, Status) and answer.settings not in {None, settings_time(paths)}:
        seen = f"{shown_path(paths.config)} has been changed since the agent read it"
        return warning("settings", seen, "agentmesh stop, and start it again (its service does)")
    return ok("settings", f"this host is {alias}")


def check_modes(paths: Paths) -> Finding:
    """See that nobody else can read our home, and that sshd will read the keys that may call."""
    if not paths.home.is_dir():
        return broken("modes", f"there is no {shown_path(paths.home)}", "agentmesh install")
    if too_open := list(open_paths(paths)):
        seen = ", ".join(f"{shown_path(path)} ({path.stat().st_mode & 0o777:o})" for path, _ in too_open)
        return broken("modes", f"open to other users: {seen}", "agentmesh doctor --fix")
    return ok("modes", f"{shown_path(paths.home)} is closed to other users")


def open_paths(paths: Paths) -> Iterator[tuple[Path, int]]:
    """Yield what is too open, and the bits of its mode that are too many."""
    database = [paths.database.with_name(paths.database.name + ending) for ending in ("", "-wal", "-shm")]
    private = [paths.home, paths.spool, paths.bin, paths.key, paths.authorized_keys, *database]
    private += [paths.log.parent, *sorted(paths.log.parent.glob("*"))]
    for path in (*private, paths.socket):
        if path.exists() and path.stat().st_mode & SEEN_BY_OTHERS:
            yield path, SEEN_BY_OTHERS
    for path in (paths.sshd_keys.parent, paths.sshd_keys):  # else sshd doesn't go by it (sshd_config(5), StrictModes)
        if path.exists() and path.stat().st_mode & WRITTEN_BY_OTHERS:
            yield path, WRITTEN_BY_OTHERS


def close_paths(paths: Paths) -> str:
    """Close to others what is too open. Returns what was done."""
    closed = []
    for path, bits in list(open_paths(paths)):
        path.chmod(path.stat().st_mode & 0o777 & ~bits)
        closed.append(shown_path(path))
    return f"closed {', '.join(closed)} to other users"


def check_disk(paths: Paths, mounts: str) -> Finding:
    """See that our home is on a disk of this machine, where locks and the database can be trusted."""
    kind = kind_of(str(paths.home.resolve()), mounts)
    if is_on_network(kind):
        remedy = "keep it on a disk of this machine: set AGENTMESH_HOME there, for the agent and your shells"
        seen = f"{shown_path(paths.home)} is on a network file system ({kind}): the database is slower, its locks are"
        return warning("disk", f"{seen} only as good as that system's", remedy)
    known = kind or "its kind is not known"
    return ok("disk", f"{shown_path(paths.home)} is on a file system of this machine ({known})")


def check_registry(paths: Paths) -> Finding:
    """See that every host of the registry has been heard of."""
    try:
        text = paths.registry.read_text()
        states = {host: str(part["state"]) for host, part in tomllib.loads(text).get("slices", {}).items()}
    except FileNotFoundError:
        return broken("registry", "there is none yet", "start the agent: agentmesh install")
    except (OSError, ValueError, KeyError) as error:
        return broken("registry", f"{shown_path(paths.registry)} can't be read: {error}", "agentmesh sync")
    stale = [f"{host} ({state})" for host, state in states.items() if state.startswith("stale")]
    if stale:
        host = stale[0].partition(" ")[0]
        remedy = f"it is kept until the host is back; if it is gone for good: agentmesh peers remove {host}"
        return warning("registry", f"not heard of: {', '.join(stale)}", remedy)
    return ok("registry", f"{len(states)} host{'s' if len(states) != 1 else ''}, all live")
