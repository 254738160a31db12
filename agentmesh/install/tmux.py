"""Plan what tmux needs: our block in its configuration, our hooks in the servers that run, others' old hooks gone."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from agentmesh.adapters.files import shown_path
from agentmesh.config import hooks_file
from agentmesh.install.block import Marks
from agentmesh.install.change import AnyChange, Plan, Run
from agentmesh.install.edits import plan_edit
from agentmesh.install.home import hooks_copy
from agentmesh.install.manifest import Manifest
from agentmesh.install.system import System

_OLD_PROGRAMS = re.compile(r"(?:^|[/\s'\"])(?:agent-register-hook|agent-discover|sync-agent-registry\.sh)(?=[\s'\"]|$)")
"""What the hooks and timers of the bash tool of this name call."""
_HOOK = re.compile(r"^set-hook (?P<flags>-g\w*) (?P<name>[a-z-]+\[\d+\])", re.MULTILINE)
_MARK = "@agentmesh-home"


def calls_old_program(text: str) -> bool:
    """Tell whether a line is one of those that the bash tool of this name has put somewhere."""
    return bool(_OLD_PROGRAMS.search(text))


def plan_tmux(system: System, manifest: Manifest) -> Plan:
    """Plan the block in tmux's configuration, and our hooks in the servers that run."""
    *others, path = configurations(system) or [system.user_home / ".tmux.conf"]
    changes: list[AnyChange] = []
    for other in others:
        says = f"take what is ours, or old, out of {shown_path(other)}, as tmux reads {shown_path(path)} after it"
        if edit := plan_edit(system, manifest, other, says, "", is_replaced=_is_old_hook):
            changes.append(edit)
    says = f"load our hooks from {shown_path(path)}"
    if edit := plan_edit(system, manifest, path, says, _block(system), is_replaced=_is_old_hook):
        changes.append(edit)
    for socket in system.servers:
        changes += _live(system, socket)
    return Plan(tuple(changes))


def plan_unload(system: System) -> Plan:
    """Plan to take our hooks out of the servers that run."""
    return Plan(tuple(_unload(socket) for socket in system.servers if _MARK in _shown(system, socket)))


def configurations(system: System) -> list[Path]:
    """Return the files of the user's that tmux reads, in its order: each that is there.

    (TMUX_CONF in tmux's Makefile.am, expand_paths in tmux.c, since 3.2.) One that is read later can take out hooks that
    an earlier one has set: so ours are loaded by the last.
    """
    home = system.user_home
    places = (home / ".tmux.conf", system.settings / "tmux" / "tmux.conf", home / ".config" / "tmux" / "tmux.conf")
    return list({place.resolve(): place for place in places if place.exists()}.values())


def loading(system: System) -> list[Path]:
    """Return those of them that load our hooks."""
    mark = Marks.SCRIPT.lines[0].encode()
    return [path for path in configurations(system) if mark in path.read_bytes().splitlines()]


def _block(system: System) -> str:
    if not system.paths.unusual_home:
        return "source-file -q ~/.agents/hooks.tmux.conf\n"
    home, hooks = (_quoted(os.fspath(path)) for path in (system.paths.home, hooks_copy(system.paths)))
    return f"set-option -g {_MARK} {home}\nsource-file -q {hooks}\n"


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'


def _is_old_hook(line: str) -> bool:
    return line.lstrip().startswith("set-hook") and calls_old_program(line)


def _live(system: System, socket: Path) -> Iterator[Run]:
    """Yield what a running server needs: our hooks, and those of the bash tool taken out."""
    shown = _shown(system, socket)
    tmux = ("tmux", "-S", os.fspath(socket))
    old = [(flags, name, command) for flags, name, command in _hooks(shown) if calls_old_program(command)]
    if old:
        yield Run(
            says=f"take {len(old)} old hooks out of the tmux server {socket.name}",
            commands=tuple((*tmux, "set-hook", f"{flags}u", name) for flags, name, _ in old),
            back_says=f"put {len(old)} old hooks back into the tmux server {socket.name}",
            back=tuple((*tmux, "set-hook", flags, name, command) for flags, name, command in old),
            of=socket,
        )
    if shown.count(_MARK) < hooks_file().read_text().count("\nset-hook "):
        home, hooks = os.fspath(system.paths.home), os.fspath(hooks_copy(system.paths))
        yield Run(
            says=f"load our hooks into the tmux server {socket.name}",
            commands=((*tmux, "set-option", "-g", _MARK, home, ";", "source-file", hooks),),
        )


def _unload(socket: Path) -> Run:
    tmux = ("tmux", "-S", os.fspath(socket))
    ours = _HOOK.finditer(hooks_file().read_text())
    return Run(
        says=f"take our hooks out of the tmux server {socket.name}",
        commands=(
            *((*tmux, "set-hook", f"{found['flags']}u", found["name"]) for found in ours),
            (*tmux, "set-option", "-gu", _MARK),
        ),
    )


def _shown(system: System, socket: Path) -> str:
    """Return a server's hooks as it prints them, session hooks and window hooks."""
    tmux = ("tmux", "-S", os.fspath(socket))
    told = (system.asked(*tmux, "show-hooks", flags) for flags in ("-g", "-gw"))
    return "".join(f"{flags}\n{text}" for flags, text in zip(("-g", "-gw"), told, strict=True) if text)


def _hooks(shown: str) -> Iterator[tuple[str, str, str]]:
    """Yield the flags, the indexed name and the command of each hook that is set."""
    flags = ""
    for line in shown.splitlines():
        name, _, command = line.partition(" ")
        if line in {"-g", "-gw"}:
            flags = line
        elif command:
            yield flags, name, command
