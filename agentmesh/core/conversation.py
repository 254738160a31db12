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
    begun: float = 0.0
    """When the program has begun it, Unix seconds; 0 where its file doesn't tell."""


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
    session: AgentSession,
    found: Iterable[Conversation],
    opened: AbstractSet[str],
    others: Iterable[AgentSession],
) -> str:
    """Return the id of the conversation that is surely a session's, though others run in its folder; or nothing.

    It is one that its program was told to begin or go on with; that its processes have open; or the only one that was
    begun while its program started, when no other session's did.
    """
    others = [other for other in others if other.name != session.name]
    taken = recorded(others)
    mine = [one for one in found if one.id not in taken and one.folder == session.cwd]
    named = [one.id for one in mine if one.id in session.argv]
    held = [one.id for one in mine if one.path in opened]
    if named or held:
        return (named or held)[0]
    began = [one.id for one in mine if _has_begun_in(session, one)]
    is_alone = not any(_start_together(session, other) for other in others)
    return began[0] if len(began) == 1 and is_alone else ""


def _has_begun_in(session: AgentSession, conversation: Conversation) -> bool:
    """Tell whether a conversation was begun between the start of a session's program and its first empty input box."""
    return session.begun <= conversation.begun <= session.ready


def _start_together(session: AgentSession, other: AgentSession) -> bool:
    """Tell whether another program of the same kind and folder started at the same time."""
    is_alike = (other.program, other.cwd) == (session.program, session.cwd)
    # One that was never seen to be ready may be starting still.
    return is_alike and other.begun <= session.ready and (not other.ready or session.begun <= other.ready)


def recorded(sessions: Iterable[AgentSession]) -> Mapping[str, str]:
    """Return the conversations that are recorded, and of which session each is."""
    return {session.conversation: session.name for session in sessions if session.conversation}
