"""Sessions of a program that keeps conversations and misbehaves on demand: its profiles, and the command."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agentmesh.core.session_request import SessionSight
from tests.mesh.local import LocalHost

SPEAKER = Path(__file__).parent / "programs" / "session.py"
PROFILE = """
name = "{name}"
title = "Speaker"
kind = "box"
processes = [{processes}]
[box]
prompt = "❯"
rules = "both"
cursor = "hidden"
placeholder = ["2"]
busy_title = "[⠁-⣿]"
queues = true
[session]
{identity}
launch = ["{python}", "{script}", "{mode}", "new", "{{conversation}}"]
resume = ["{python}", "{script}", "{mode}", "resume", "{{conversation}}"]
exit = "/exit"
conversations = "~/.claude/projects/{{folder}}/*.jsonl"
conversation_id = "sessionId"
conversation_folder = "cwd"
"""


def furnish(host: LocalHost, modes: Iterable[str], identity: str = "") -> None:
    """Give a host a profile for each mode, by its name, before its agent starts; perhaps with identity commands."""
    folder = host.agents / "profiles"
    folder.mkdir(exist_ok=True)
    for mode in modes:
        script = host.home / f"{mode}.py"
        script.symlink_to(SPEAKER)
        processes = f'"{mode}"'
        values = {"name": mode, "mode": mode, "python": sys.executable, "script": script, "processes": processes}
        (folder / f"{mode}.toml").write_text(PROFILE.format(**values, identity=identity))


def session(host: LocalHost, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `agentmesh session`; it must end with this code."""
    done = host.run("agentmesh", "session", *words)
    assert done.returncode == code, done
    return done


def status(host: LocalHost, name: str) -> Mapping[str, Any]:
    """Return what is recorded and seen of a session."""
    return record_of(host.asking.session(name))


def record_of(seen: SessionSight) -> Mapping[str, Any]:
    """Return a session's record as JSON has it, with how it is just now."""
    now = {name: getattr(seen, name) for name in ("address", "readiness", "alive", "lifecycle")}
    return {**msgspec.json.decode(msgspec.json.encode(seen.session)), **now}


def told(lines: list[dict[str, Any]], event: str, **facts: str) -> list[dict[str, Any]]:
    """Return of what a monitor has said the lines of an event with these facts."""
    return [line for line in lines if line["event"] == event and facts.items() <= line.items()]
