"""Plan who keeps the agent going: systemd, launchd, cron; where there is nobody, it is at least started now."""

import os
import plistlib
import shlex
from pathlib import Path

from agentmesh import __version__
from agentmesh.adapters.files import shown_path
from agentmesh.config import shipped
from agentmesh.errors import BadConfiguration
from agentmesh.install.block import Marks, muted, with_block
from agentmesh.install.change import AnyChange, Command, Crontab, Plan, Run, Start, Write
from agentmesh.install.home import missing_folders
from agentmesh.install.manifest import Manifest
from agentmesh.install.system import Services, System
from agentmesh.install.tmux import calls_old_program

UNITS = ("agentmesh.service", "agentmesh-resync.service", "agentmesh-resync.timer")
ENABLED = ("agentmesh.service", "agentmesh-resync.timer")
LABELS = ("io.agentmesh.agent", "io.agentmesh.resync")


def plan_service(system: System, manifest: Manifest) -> Plan:
    """Plan the service of this system, and that the agent runs, in this version."""
    match system.services:
        case Services.SYSTEMD:
            return _systemd(system, manifest)
        case Services.LAUNCHD:
            return _launchd(system, manifest)
        case Services.CRON:
            return _cron(system) + _by_hand(system)
        case Services.NONE:
            note = "nothing here starts the agent again after a restart: no user's systemd, launchd or cron was found"
            return _by_hand(system) + Plan((), (note,))


def unit_folder(system: System) -> Path:
    """Return where the user's own systemd units are (systemd.unit(5))."""
    return system.settings / "systemd" / "user"


def rendered_unit(name: str, system: System) -> bytes:
    """Return a unit of ours for this system: with its home, and what a service must be told."""
    text = shipped(f"systemd/{name}").read_text()
    if system.paths.unusual_home:
        text = text.replace("%h/.agents", _unit_quoted(os.fspath(system.paths.home)))
    told = "".join(f'Environment="{_unit_quoted(f"{key}={value}")}"\n' for key, value in system.environment.items())
    return text.replace("[Service]\n", f"[Service]\n{told}").encode()


def rendered_agent(label: str, system: System) -> bytes:
    """Return a launchd agent of ours for this system."""
    described = plistlib.loads(shipped(f"launchd/{label}.plist").read_bytes())
    return plistlib.dumps({**described, "EnvironmentVariables": system.environment}, sort_keys=False)


def crontab_lines(system: System) -> str:
    """Return what cron is to do every five minutes: look at everything again, and start the agent when it is gone."""
    told = " ".join(f"{key}={shlex.quote(value)}" for key, value in system.environment.items())
    program = shlex.quote(os.fspath(system.paths.launcher))
    line = f"""*/5 * * * * {told} sh -c '"$0" sync || exec "$0" run' {program} >/dev/null 2>&1"""
    return line.replace("%", r"\%") + "\n"


def _unit_quoted(text: str) -> str:
    return text.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')


def _systemd(system: System, manifest: Manifest) -> Plan:
    folder = unit_folder(system)
    plan = _files(manifest, folder, {name: rendered_unit(name, system) for name in UNITS})
    written = bool(plan.changes)
    control = ("systemctl", "--user")
    states = [system.asked(*control, word, name) for name in ENABLED for word in ("is-enabled", "is-active")]
    commands: list[Command] = [(*control, "daemon-reload")] if written else []
    says = "let systemd keep the agent running, and look after it every five minutes"
    if None in states or written or system.agent != __version__:
        if system.agent and states[1] is None:
            commands.append((os.fspath(system.paths.launcher), "stop"))  # one that was started by hand
        commands += [(*control, "enable", *ENABLED), (*control, "restart", *ENABLED)]
        if (written and None not in states) or (system.agent and system.agent != __version__):
            says = f"start the agent of version {__version__} in place of the one that runs"
        back = (*control, "disable", "--now", *reversed(ENABLED))
        plan += Plan(
            (Run(says=says, commands=tuple(commands), back_says="take the service out of systemd", back=(back,)),)
        )
    if not system.lingers:
        note = "the agent stops when you log out for good; `sudo loginctl enable-linger $USER` lets it go on"
        plan += Plan((), (note,))
    return plan


def _launchd(system: System, manifest: Manifest) -> Plan:
    folder = system.user_home / "Library" / "LaunchAgents"
    files = {f"{label}.plist": rendered_agent(label, system) for label in LABELS}
    plan = _files(manifest, folder, files)
    written = {change.path.stem for change in plan.changes if isinstance(change, Write)}
    domain = f"gui/{os.getuid()}"
    for label in LABELS:
        loaded = system.asked("launchctl", "print", f"{domain}/{label}") is not None
        upgraded = label == LABELS[0] and system.agent != __version__
        if loaded and label not in written and not upgraded:
            continue
        out: Command = ("launchctl", "bootout", f"{domain}/{label}")
        into: Command = ("launchctl", "bootstrap", domain, os.fspath(folder / f"{label}.plist"))
        stop = ((os.fspath(system.paths.launcher), "stop"),) if system.agent and label == LABELS[0] else ()
        run = Run(
            says=f"let launchd keep {label}",
            commands=(*stop, *((out,) if loaded else ()), into),
            back_says=f"take {label} out of launchd",
            back=(out,),
        )
        plan += Plan((run,))
    return plan


def _cron(system: System) -> Plan:
    before = system.asked("crontab", "-l") or ""
    try:
        wanted = with_block(muted(before, calls_old_program), crontab_lines(system), Marks.SCRIPT)
    except ValueError as error:
        raise BadConfiguration(path="your crontab", reason=error) from error
    if wanted == before:
        return Plan(())
    says = "add a line to your crontab: every five minutes it looks after the agent"
    return Plan((Crontab(says=says, content=wanted, before=before),))


def _by_hand(system: System) -> Plan:
    """Plan that an agent of this version runs, by a process of its own."""
    if system.agent == __version__:
        return Plan(())
    command = (os.fspath(system.paths.launcher), "run")
    changes: list[AnyChange] = []
    if system.agent:
        says = f"stop the agent of version {system.agent}"
        changes.append(Run(says=says, commands=((os.fspath(system.paths.launcher), "stop"),)))
    changes.append(Start(says=f"start the agent, version {__version__}", command=command, socket=system.paths.socket))
    return Plan(tuple(changes))


def _files(manifest: Manifest, folder: Path, files: dict[str, bytes]) -> Plan:
    """Plan files of ours in a folder of the user's; one that the user has changed stays."""
    changes: list[AnyChange] = list(missing_folders(folder))
    notes = []
    for name, content in files.items():
        path = folder / name
        present = path.read_bytes() if path.is_file() else None
        written = manifest.written(path)
        if present == content:
            continue
        if present is not None and (written is None or written.content != present):
            reason = "is not as install writes it, and stays; to get ours, remove it and install again"
            notes.append(f"{shown_path(path)} {reason}")
            continue
        changes.append(Write(says=f"write {shown_path(path)}", path=path, content=content))
    return Plan(tuple(changes), tuple(notes))
