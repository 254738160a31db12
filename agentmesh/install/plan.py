"""The whole plans: what install does here, and what uninstall does."""

import os
from collections.abc import Iterator
from pathlib import Path

from agentmesh.adapters.files import PRIVATE_FILE, shown_path
from agentmesh.config import Config, Paths
from agentmesh.core import authorized_keys
from agentmesh.install.agent import Silent
from agentmesh.install.back import way_back
from agentmesh.install.change import Links, Plan, Prepare, Remove, RemoveFolder, Run, Write
from agentmesh.install.guide import plan_guide
from agentmesh.install.home import hooks_copy, plan_home, plan_links
from agentmesh.install.manifest import Manifest, rendered
from agentmesh.install.service import plan_release, plan_service, plan_stop, unit_folder
from agentmesh.install.system import Services, System
from agentmesh.install.takeover import plan_takeover
from agentmesh.install.tmux import plan_tmux, plan_unload

_PRECIOUS = (
    "mesh.db",
    "mesh.db-wal",
    "mesh.db-shm",
    "mesh.db-journal",
    "key",
    "key.pub",
    "authorized_keys",
    "jobs",
    "reviews",
)
"""Messages and keys, which no second installation brings back."""
_SETTINGS = ("peers.conf", "self.conf", "config.toml", "profiles")


def manifest_path(paths: Paths) -> Path:
    """Return where it is written down what install has done."""
    return paths.home / "install.json"


def install_plan(system: System, manifest: Manifest, guides: tuple[Path, ...] = ()) -> Plan:
    """Return what is left to do here until everything is as it should be."""
    takeover = plan_takeover(system)
    linked = frozenset(path for change in takeover.changes if isinstance(change, Links) for path in change.links)
    plan = plan_home(system) + takeover + plan_links(system, linked) + plan_tmux(system, manifest)
    for path in guides:
        plan += plan_guide(system, manifest, path)
    return plan + plan_service(system, manifest)


def uninstall_plan(system: System, config: Config, manifest: Manifest, *, everything: bool) -> Plan:
    """Return what undoes all that install did, and removes what the agent made.

    ``everything`` takes the messages, the keys and the settings that were not there before, too.
    """
    paths = system.paths
    plan = Plan(())
    if isinstance(system.agent, Silent):
        plan += plan_release(system)  # it will be killed, which is a failure to who keeps it
    plan += plan_stop(system)
    plan += plan_unload(system) + Plan(tuple(_removal("the agent's files", _generated(paths))))
    for change in reversed(manifest.changes):
        plan += way_back(change, system)
    if system.services is Services.SYSTEMD and any(unit_folder(system) in path.parents for path in _removed(plan)):
        plan += Plan((Run(says="let systemd forget our units", commands=(("systemctl", "--user", "daemon-reload"),)),))
    if everything:
        plan += _precious(system, manifest)
    return plan + _notes(system, manifest, everything=everything) + _rest(paths, config)


def precious(paths: Paths) -> tuple[Path, ...]:
    """Return what there is that a person may want to keep: messages, keys, settings."""
    return tuple(path for name in (*_PRECIOUS, *_SETTINGS) if os.path.lexists(path := paths.home / name))


def _generated(paths: Paths) -> tuple[Path, ...]:
    """Return what the agent and install make, and make again."""
    from agentmesh.agent.launchers import launchers  # noqa: PLC0415 (of the agent, which install is no part of)

    files = [
        paths.local,
        paths.registry,
        paths.agent_sessions,
        paths.workspaces,
        paths.lock,
        paths.socket,
        paths.socket_pointer,
        paths.spool,
    ]
    return (*files, hooks_copy(paths), paths.log.parent, *(paths.bin / name for name in launchers()))


def _precious(system: System, manifest: Manifest) -> Plan:
    paths = system.paths
    found = next((change.found for change in manifest.changes if isinstance(change, Prepare)), frozenset(_SETTINGS))
    settings = [paths.home / name for name in _SETTINGS if name not in found]
    plan = Plan(
        tuple(_removal("the messages, keys and settings", (*(paths.home / name for name in _PRECIOUS), *settings)))
    )
    stay = [shown_path(paths.home / name) for name in _SETTINGS if name in found and (paths.home / name).exists()]
    if stay:
        plan += Plan((), (f"{', '.join(stay)} was there before install, and stays",))
    return plan + _unpin(paths)


def _unpin(paths: Paths) -> Plan:
    """Plan to take the keys that are pinned to peers out of the file of the system's sshd."""
    file = paths.sshd_keys.resolve()
    text = file.read_bytes().decode("latin-1") if file.is_file() else ""
    wanted = text
    for pin in authorized_keys.pins(text):
        wanted = authorized_keys.without_pins(wanted, pin.name)
    if wanted == text:
        return Plan(())
    if not wanted:
        return Plan(tuple(_removal(f"{shown_path(file)}, in which only peers' keys were", (file,))))
    says = f"take the peers' keys out of {shown_path(file)}"
    return Plan((Write(says=says, path=file, content=wanted.encode("latin-1"), mode=file.stat().st_mode & 0o777),))


def _notes(system: System, manifest: Manifest, *, everything: bool) -> Plan:
    """Plan to remove the notes of install; but as long as settings stay, it must be known which were there before."""
    path, copies = manifest_path(system.paths), system.paths.home / "backup"
    first = [change for change in manifest.changes if isinstance(change, Prepare)][:1]
    if everything or not first:
        return Plan(tuple(_removal("the notes of install", (path, copies))))
    says = f"note in {shown_path(path)} what was there before install"
    note = Write(says=says, path=path, content=rendered(first), mode=PRIVATE_FILE)
    return Plan((*_removal("the copies of your files", (copies,)), note))


def _rest(paths: Paths, config: Config) -> Plan:
    """Plan to remove the folders of ours that are empty by then, and tell what stays."""
    inbox = Path(config.drops.folder).expanduser()
    plan = Plan(())
    if inbox.is_dir() and any(path.is_file() for path in inbox.rglob("*")):
        plan += Plan((), (f"{shown_path(inbox)} holds files that were sent to you, and stays",))
    folders = [*_below(inbox), *_below(paths.home / "replaced"), paths.bin, paths.home]
    if paths.socket.parent != paths.home:
        folders.append(paths.socket.parent)
    there = (folder for folder in folders if folder.is_dir())
    removals = (RemoveFolder(says=f"remove {shown_path(path)}, if nothing else is in it", path=path) for path in there)
    return plan + Plan(tuple(removals))


def _below(folder: Path) -> list[Path]:
    """Return a folder and those in it, the deepest first."""
    return [*sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True), folder]


def _removal(what: str, paths: tuple[Path, ...]) -> Iterator[Remove]:
    there = tuple(path for path in paths if os.path.lexists(path))
    if there:
        named = ", ".join(shown_path(path) for path in there)
        yield Remove(says=f"remove {what}: {named}", paths=there)


def _removed(plan: Plan) -> list[Path]:
    return [path for change in plan.changes if isinstance(change, Remove) for path in change.paths]
