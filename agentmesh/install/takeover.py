"""Plan to take over what the bash tool of this name has set up: its scripts, its timer, its registry. All comes back.

Its hooks go where ours come (``tmux``), its crontab line where ours comes (``service``). Who belongs to the mesh stays
as it is: ``peers.conf`` and ``self.conf`` are the same files.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from agentmesh.adapters.files import shown_path
from agentmesh.install.change import AnyChange, Links, Move, Plan, Run
from agentmesh.install.service import unit_folder
from agentmesh.install.system import Services, System
from agentmesh.install.tmux import calls_old_program

_SCRIPTS = {
    "bin/notify-pane": "notify-pane",
    "bin/agent-register-hook": "agent-register-hook",
    "bin/agent-discover": "agent-discover",
    "bin/agent-self-identify": "agent-self-identify",
    "scripts/sync-agent-registry.sh": "agent-discover",
}
"""The scripts below the user's home, and which program of ours does what each did."""
_LARGEST_SCRIPT = 1 << 20


def plan_takeover(system: System) -> Plan:
    """Plan what makes room for us, and what leads old calls to us."""
    if system.paths.unusual_home:
        return Plan(())
    return Plan((*_timers(system), *_scripts(system), *_registry(system)))


def _scripts(system: System) -> Iterator[AnyChange]:
    for name, program in _SCRIPTS.items():
        path = system.user_home / name
        if _is_script(path):
            kept, target = system.paths.home / "replaced" / name, system.paths.bin / program
            yield Move(says=f"put the old {shown_path(path)} into {shown_path(kept)}", path=path, to=kept)
            yield Links(says=f"link {shown_path(path)} to {shown_path(target)}", links={os.fspath(path): target})


def _is_script(path: Path) -> bool:
    """Tell whether a file is one of the tool's: a shell script that speaks of our folder."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_SCRIPT:
        return False
    first, _, rest = path.read_bytes().partition(b"\n")
    return first.startswith(b"#!") and b"sh" in first and b".agents" in rest


def _timers(system: System) -> Iterator[AnyChange]:
    folder = unit_folder(system)
    for service in sorted(folder.glob("*.service")):
        timer = service.with_suffix(".timer")
        if not timer.exists() or not calls_old_program(service.read_text(errors="replace")):
            continue
        link = folder / "timers.target.wants" / timer.name
        if system.services is Services.SYSTEMD:
            if system.asked("systemctl", "--user", "is-enabled", timer.name) is not None:
                yield Run(
                    says=f"stop the old timer {timer.name}",
                    commands=(("systemctl", "--user", "disable", "--now", timer.name),),
                    back_says=f"start the old timer {timer.name} again",
                    back=(("systemctl", "--user", "enable", "--now", timer.name),),
                )
        elif os.path.lexists(link):
            kept = system.paths.home / "replaced" / timer.name
            yield Move(says=f"disable the old timer {timer.name}", path=link, to=kept)


def _registry(system: System) -> Iterator[Move]:
    """Yield what keeps the old slice and registry as they were: the agent writes files of the same names."""
    for path in (system.paths.local, system.paths.registry):
        if path.is_file() and b"[slices." not in path.read_bytes():
            kept = system.paths.home / "replaced" / path.name
            yield Move(says=f"put the old {shown_path(path)} into {shown_path(kept)}", path=path, to=kept)
