"""The files in which a program keeps its conversations: which session is whose. Pure."""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from agentmesh.core.agent_session import AgentSession


class Conversation(msgspec.Struct, frozen=True):
    """One of them, as it lies on disk."""

    id: str
    folder: str
    """The folder that the program ran in."""
    path: str


def pattern_for(pattern: str, folder: str) -> str:
    """Return a profile's pattern for the conversations of one folder.

    >>> pattern_for("~/.claude/projects/{folder}/*.jsonl", "/home/me/my.work")
    '~/.claude/projects/-home-me-my-work/*.jsonl'
    """
    return pattern.replace("{folder}", re.sub("[^A-Za-z0-9]", "-", folder))


def member(line: Any, names: str) -> str:  # noqa: ANN401 (whatever JSON there is)
    """Return a text within JSON by the names on the way to it, joined by dots; empty where there is none.

    >>> member({"payload": {"id": "7"}}, "payload.id")
    '7'
    """
    for name in names.split("."):
        line = line.get(name) if isinstance(line, dict) else None
    return line if isinstance(line, str) else ""


def own_conversation(
    session: AgentSession, found: Iterable[Conversation], opened: AbstractSet[str], taken: AbstractSet[str]
) -> str:
    """Return the id of the conversation that is surely a session's, though others run in its folder; or nothing.

    It is one that its program was told to begin or go on with, or that its processes have open. ``taken`` are recorded
    of other sessions.
    """
    mine = [one for one in found if one.id not in taken and one.folder == session.cwd]
    named = [one.id for one in mine if one.id in session.argv]
    held = [one.id for one in mine if one.path in opened]
    return next(iter([*named, *held]), "")


def recorded(sessions: Iterable[AgentSession]) -> Mapping[str, str]:
    """Return the conversations that are recorded, and of which session each is."""
    return {session.conversation: session.name for session in sessions if session.conversation}
