"""A team: the sessions of several hosts that one file describes, and what is to be done until it is so. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from agentmesh.core.agent_session import Status
from agentmesh.core.session_request import Creation
from agentmesh.errors import BadTeam

_HEADER = re.compile(r"\s*\[\[\s*sessions\s*\]\]")
_FIELD = re.compile(r"(?:\$\.|field `)(\w+)")
_NOT_OPTIONS = {"name", "host", "arguments", "path", "shell"}


class Member(Creation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One session of a team: what it is created with, and where."""

    host: str = ""
    """Empty for the host on which the file is used."""
    cwd: str = ""
    path: Literal[""] = ""
    shell: Literal[""] = ""


class Action(StrEnum):
    """What a session needs."""

    CREATE = "create"
    RESUME = "resume"
    STOP = "stop"
    NOTHING = "nothing"


class Planned(msgspec.Struct, frozen=True):
    """What is to be done with one session."""

    member: Member
    action: Action
    status: str = ""
    """How it is now; empty where there is none."""


Found = Mapping[str, Mapping[str, Status]]
"""By host and name: how each session is that isn't archived."""


def read_team(path: str, text: str, document: Mapping[str, object], own: str) -> tuple[Member, ...]:
    """Return the members of a file's team, in its order; ``own`` is what this host is called. Raises BadTeam."""
    match document:
        case {"sessions": list(tables), **others} if tables and not others:
            pass
        case {"sessions": _, **others} if others:
            raise BadTeam(path=path, reason=f"there is no {min(others)} in a team, but [[sessions]] alone")
        case _:
            raise BadTeam(path=path, reason="it has no [[sessions]]")
    members: list[Member] = []
    for number, table in enumerate(tables):
        try:
            member = msgspec.convert(table, Member)
            members.append(msgspec.structs.replace(member, host="" if member.host == own else member.host))
            _check_place(members)
        except (msgspec.ValidationError, ValueError) as error:
            raise BadTeam(path=path, reason=_where(text, number, str(error)) + str(error)) from error
    late = [(one, other) for place, one in enumerate(members) for other in members[place:] if _stands_by(one, other)]
    for one, other in late:
        reason = f"{one.name} stands by {other.name}, which must be written above it"
        raise BadTeam(path=path, reason=reason)
    return tuple(members)


def plan_up(team: Iterable[Member], found: Found) -> Iterator[Planned]:
    """Yield what each session needs to run, in order."""
    for member in team:
        match status := found[member.host].get(member.name):
            case None:
                yield Planned(member, Action.CREATE)
            case Status.RUNNING:
                yield Planned(member, Action.NOTHING, status)
            case _:
                yield Planned(member, Action.RESUME, status)


def plan_down(team: Sequence[Member], found: Found) -> Iterator[Planned]:
    """Yield what each session needs to be stopped, the last one first."""
    for member in reversed(team):
        status = found[member.host].get(member.name)
        yield Planned(member, Action.STOP if status is Status.RUNNING else Action.NOTHING, status or "")


def stands_by(member: Member, team: Iterable[Member]) -> Member | None:
    """Return the other member in whose tmux session, or beside whose pane, one is opened."""
    return next((other for other in team if _stands_by(member, other)), None)


def command(planned: Planned) -> list[str]:
    """Return the words of the command of ours that does what is planned.

    >>> rev = Member(name="rev", program="claude", host="worker-1", arguments=("--model", "opus"))
    >>> print(*command(Planned(rev, Action.CREATE)))
    session create rev --host=worker-1 --program=claude -- --model opus
    >>> print(*command(Planned(rev, Action.STOP, "running")))
    session stop rev --host=worker-1
    """
    member = planned.member
    words = ["session", planned.action, member.name, *([f"--host={member.host}"] if member.host else ())]
    if planned.action is not Action.CREATE:
        return words
    for field in msgspec.structs.fields(member):
        value = getattr(member, field.name)
        if field.name in _NOT_OPTIONS or value == field.default:
            continue
        option = f"--{field.name.replace('_', '-')}"
        words.append(option if value is True else f"{option}={value}")
    return [*words, *(("--", *member.arguments) if member.arguments else ())]


def _stands_by(member: Member, other: Member) -> bool:
    return member.host == other.host and other.name in {member.split, member.window}


def _check_place(members: Sequence[Member]) -> None:
    """Raise ValueError where the last of them has the name of another on the same host."""
    *others, last = members
    if any((last.host, last.name) == (other.host, other.name) for other in others):
        raise ValueError(f"{last.name} is there twice")


def _where(text: str, number: int, complaint: str) -> str:
    r"""Return where the file has a session, or that field of it that is complained of.

    >>> _where("[[sessions]]\nname = 'a'\nrole = 5\n", 0, "Expected `str`, got `int` - at `$.role`")
    'line 3: '
    """
    lines = text.splitlines()
    headers = [line for line, content in enumerate(lines) if _HEADER.match(content)]
    if number >= len(headers):
        return f"session {number + 1}: "
    begin, end = headers[number], [*headers, len(lines)][number + 1]
    if named := _FIELD.search(complaint):
        for line in range(begin, end):
            if re.match(rf"\s*{named[1]}\s*=", lines[line]):
                return f"line {line + 1}: "
    return f"line {begin + 1}: "
