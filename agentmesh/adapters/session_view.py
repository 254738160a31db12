"""The records of sessions as the TOML that people and scripts read."""

import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from agentmesh.adapters.slices import toml_text
from agentmesh.core.agent_session import AgentSession, Status, Termination

_TIMES = ("created", "begun", "ready", "acted", "updated")


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What every block has, as far as scripts rely on it."""

    name: str
    host: str
    program: str
    cwd: str
    argv: list[str]
    signature: str
    server: str
    pane: str
    pid: int
    started: str
    conversation: str
    status: Status
    last_visible_status: Status
    last_visible_note: str
    termination_mode: Termination
    created: datetime
    updated: datetime


class _View(msgspec.Struct, frozen=True):
    sessions: list[_Shown] = []


def render_sessions(sessions: Iterable[AgentSession]) -> bytes:
    """Return the records, a ``[[sessions]]`` block each, oldest first."""
    lines = ["# Written by agentmesh; changes are overwritten."]
    for session in sessions:
        lines += ["", "[[sessions]]", *_lines(session)]
    return "\n".join([*lines, ""]).encode()


def defect(path: Path) -> str:
    """Return why the file isn't what is written there; empty when it is, or isn't there."""
    try:
        msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _View)
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        return str(error)
    return ""


def _lines(session: AgentSession) -> Iterator[str]:
    for name in session.__struct_fields__:
        value = getattr(session, name)
        if name in _TIMES:
            yield f"{name} = {datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"
        elif isinstance(value, tuple):
            yield f"{name} = [{', '.join(map(toml_text, value))}]"
        elif isinstance(value, bool):
            yield f"{name} = {str(value).lower()}"
        elif isinstance(value, int | float):
            yield f"{name} = {value}"
        else:
            yield f"{name} = {toml_text(value)}"
