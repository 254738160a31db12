"""Plan who keeps the agent going: systemd, launchd, cron; where there is nobody, it is at least started now."""

import os
import plistlib
import shlex
from pathlib import Path

from agentmesh import __version__
from agentmesh.adapters.files import shown_path
from agentmesh.config import shipped
from agentmesh.core.status import Status
from agentmesh.errors import BadConfiguration
from agentmesh.install.agent import Silent, is_current
from agentmesh.install.block import Marks, muted, with_block
from agentmesh.install.change import AnyChange, Command, Crontab, Plan, Run, Start, Stop, Write
from agentmesh.install.home import missing_folders
from agentmesh.install.manifest import Manifest
from agentmesh.install.system import Services, System
from agentmesh.install.tmux import calls_old_program

UNITS = ("agentmesh.service", "agentmesh-resync.service", "agentmesh-resync.timer")
ENABLED = ("agentmesh.service", "agentmesh-resync.timer")
LABELS = ("io.agentmesh.agent", "io.agentmesh.resync")
NOBODY = "nothing here starts the agent again after a restart: no user's systemd, launchd or cron was found"


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
            return _by_hand(system) + Plan((), (NOBODY,))


def plan_stop(system: System) -> Plan:
    """Plan that the agent ends, when one runs; one that hangs, too."""
    match system.agent:
        case None:
            return Plan(())
        case Silent(reason):
            says = f"end the agent: {reason}"
        case Status(version=version) if version != __version__:
            says = f"stop the agent of version {version}"
        case Status():
            says = "stop the agent"
    return Plan((Stop(says=says, home=system.paths.home),))


def plan_release(system: System) -> Plan:
    """Plan that nobody starts the agent again when it ends."""
    match system.services:
        case Services.SYSTEMD:
            commands: tuple[Command, ...] = (("systemctl", "--user", "disable", "--now", "--no-block", *ENABLED),)
        case Services.LAUNCHD:
            commands = tuple(("launchctl", "bootout", f"gui/{os.getuid()}/{label}") for label in LABELS)
        case _:
            return Plan(())
    says = f"have {system.services.value} leave the agent alone"
    return Plan((Run(says=says, commands=commands, optional=True),))


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
    """Return what cron is to do every five minutes: look again, and start the agent where it is gone, or hangs."""
    told = " ".join(f"{key}={shlex.quote(value)}" for key, value in system.environment.items())
    program = shlex.quote(os.fspath(system.paths.launcher))
    line = f"""*/5 * * * * {told} sh -c '"$0" resync || exec "$0" run' {program} >/dev/null 2>&1"""
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
    current = is_current(system.agent)
    if None in states or written or not current:
        if states[1] is None or isinstance(system.agent, Silent):  # else systemd stops it, which has started it
            plan += plan_stop(system)
        commands += [(*control, "enable", *ENABLED), (*control, "restart", *ENABLED)]
        if (written and None not in states) or (system.agent is not None and not current):
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
        upgraded = label == LABELS[0] and not is_current(system.agent)
        if loaded and label not in written and not upgraded:
            continue
        out: Command = ("launchctl", "bootout", f"{domain}/{label}")
        into: Command = ("launchctl", "bootstrap", domain, os.fspath(folder / f"{label}.plist"))
        if label == LABELS[0]:
            plan += plan_stop(system)
        run = Run(
            says=f"let launchd keep {label}",
            commands=(*((out,) if loaded else ()), into),
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
    """Plan that an agent of this very code runs, by a process of its own."""
    if is_current(system.agent):
        return Plan(())
    return plan_stop(system) + Plan((start(system),))


def start(system: System) -> Start:
    """Return what starts the agent, by a process of its own."""
    command = (os.fspath(system.paths.launcher), "run")
    return Start(says=f"start the agent, version {__version__}", command=command, home=system.paths.home)


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
