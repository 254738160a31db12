"""The files in which a program keeps its conversations: which session is whose. Pure."""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from fnmatch import translate
from hashlib import sha256
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


_NAMED = "\0"
"""Stands for the id within a pattern; no path has it."""


def pattern_for(pattern: str, folder: str, conversation: str = "*") -> str:
    """Return a profile's pattern for the conversations of one folder.

    >>> pattern_for("~/.claude/projects/{folder}/*.jsonl", "/home/me/my.work")
    '~/.claude/projects/-home-me-my-work/*.jsonl'
    >>> pattern_for("{cwd}/.chat.{conversation}.md", "/home/me/what?")
    '/home/me/what[?]/.chat.*.md'
    """
    values = {
        "folder": re.sub("[^A-Za-z0-9]", "-", folder),
        "cwd": re.sub("[*?[]", r"[\g<0>]", folder),
        "conversation": conversation,
    }
    return re.sub(r"\{(folder|cwd|conversation)\}", lambda match: values[match[1]], pattern)


def named_in(path: str, pattern: str, folder: str) -> str:
    """Return the id that a path has where its pattern says ``{conversation}``; empty where it has none.

    >>> named_in("/home/me/.chat.7-f.md", "{cwd}/.chat.{conversation}.md", "/home/me")
    '7-f'
    """
    shape = translate(pattern_for(pattern, folder, _NAMED)).replace(_NAMED, "([A-Za-z0-9_-]+)")
    match = re.match(shape, path)
    return match[1] if match and match.groups() else ""


def is_in(told: str, folder: str) -> bool:
    """Tell whether a conversation's file tells of a folder: by its path, or by the SHA-256 of that in hex."""
    return told in {folder, sha256(folder.encode(errors="surrogateescape")).hexdigest()}


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
    named = [one.id for one in mine if _is_in_words(one.id, session.argv)]
    held = [one.id for one in mine if one.path in opened]
    if named or held:
        return (named or held)[0]
    began = [one.id for one in mine if _has_begun_in(session, one)]
    is_alone = not any(_start_together(session, other) for other in others)
    return began[0] if len(began) == 1 and is_alone else ""


def _is_in_words(identifier: str, argv: Iterable[str]) -> bool:
    """Tell whether an id stands in a command line; it may be a part of a word, but no part of a longer name."""
    whole = re.compile(rf"(?<![A-Za-z0-9_-]){re.escape(identifier)}(?![A-Za-z0-9_-])")
    return any(whole.search(word) for word in argv)


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
