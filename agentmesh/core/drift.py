"""What is recorded of sessions against what is there: tmux, the process table, conversations on disk. Pure."""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from itertools import count
from typing import Any

import msgspec

from agentmesh.core.agent_session import AgentSession, Status, Step, Termination, after
from agentmesh.core.model import Pane

RECENT_SECONDS = 5
"""For so long after a person has changed a session, what is seen of it counts for nothing."""
_LONGEST_STEM = 34
GONE = "its program is gone; nobody has stopped it"


class DriftClass(StrEnum):
    """How record and truth may differ."""

    GONE = "A"
    """Recorded as running, and its program or pane is gone: it becomes ``terminated``, or, where a stop was cut off,
    ``stopped``."""
    UNKNOWN = "B"
    """A known program in tmux that no record has: it is registered."""
    APPEARED = "C"
    """The id of its conversation has appeared on disk: it is recorded."""
    LOST = "D"
    """Its recorded conversation is gone from disk: that is said, and nothing removed."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is there."""

    panes: AbstractSet[tuple[str, str]]
    """Every pane that tmux has, by server and pane id."""
    programs: Sequence[Pane] = ()
    """The registered panes in which a known program is in front."""
    unasked: AbstractSet[str] = frozenset()
    """The tmux servers that could not be asked: nothing is known of their panes."""
    alive: Mapping[int, str]
    """By number: when each process began that a record names, as far as it lives."""
    appeared: Mapping[str, str] = {}
    """By session: the conversation on disk that is surely its own."""
    lost: AbstractSet[str] = frozenset()
    """Sessions whose recorded conversation isn't on disk; where that can't be told, it isn't here."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One difference, and what is done about it."""

    drift_class: DriftClass = msgspec.field(name="class")
    session: str
    what: str
    action: str
    before: AgentSession | None = None
    """The record as it is; None where there is none."""
    after: AgentSession | None = None
    """The record that is right; None where a pane is to be registered."""
    pane: Pane | None = None
    """That pane."""

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of the record that change, each with its new value."""
        if self.before is None or self.after is None:
            return {}
        names = self.before.__struct_fields__
        return {name: new for name in names if (new := getattr(self.after, name)) != getattr(self.before, name)}

    @property
    def difference(self) -> dict[str, list[Any]]:
        """What changes in the record: each field's old and new value."""
        old, new = (msgspec.to_builtins(side) if side else {} for side in (self.before, self.after))
        return {name: [old.get(name), new.get(name)] for name in {**old, **new} if old.get(name) != new.get(name)}


def is_gone(session: AgentSession, found: Found) -> bool:
    """Tell whether a session's program has surely ended, or lost its pane. A server that isn't asked tells nothing."""
    if found.alive.get(session.pid) != session.started:
        return True
    return session.server not in found.unasked and (session.server, session.pane) not in found.panes


def drifts(sessions: Sequence[AgentSession], found: Found, now: int) -> list[Drift]:
    """Return where records and truth differ, in the order of the records; unknown programs last.

    What a person has decided stands: a stopped or archived session is left alone, and so is one that was changed within
    the last seconds.
    """
    told: list[Drift] = []
    for recorded in sessions:
        session = recorded
        if session.status is Status.ARCHIVED or now - session.acted < RECENT_SECONDS:
            continue
        if session.status is Status.RUNNING and is_gone(session, found):
            changed = _ended(session, now)
            what = changed.last_visible_note or "its program is gone, as it was told to be"
            told.append(_drift(DriftClass.GONE, changed, what, changed.status, session))
            session = changed
        conversation = found.appeared.get(session.name, "")
        if not session.conversation and conversation:
            changed = msgspec.structs.replace(session, conversation=conversation, updated=now)
            what = f"its conversation {conversation} has appeared"
            told.append(_drift(DriftClass.APPEARED, changed, what, "recorded", session))
            session = changed
        if session.conversation and session.name in found.lost and session.missed != session.conversation:
            what = f"its conversation {session.conversation} is gone from disk"
            changed = msgspec.structs.replace(session, missed=session.conversation, last_visible_note=what, updated=now)
            told.append(_drift(DriftClass.LOST, changed, what, "said", session))
    return told + _unknown(sessions, found)


def _ended(session: AgentSession, now: int) -> AgentSession:
    """Return a session whose program is gone: stopped where a person has told it to stop, else terminated."""
    step, note = (Step.STOP, "") if session.stopping else (Step.END, GONE)
    facts = {"termination_mode": Termination.AUTO_DETECTED, "last_visible_note": note, "stopping": False}
    return after(session, step, now, acted=session.acted, **facts)


def _unknown(sessions: Sequence[AgentSession], found: Found) -> list[Drift]:
    """Return the panes in which a known program runs that no record has."""
    known = {(session.server, session.pane) for session in sessions if session.status is Status.RUNNING}
    taken = {session.name for session in sessions if session.status is not Status.ARCHIVED}
    told = []
    for pane in found.programs:
        place = (pane.server, pane.pane)
        if place in known:
            continue
        known.add(place)
        name = _free_name(pane, taken)
        taken.add(name)
        what = f"{pane.program} runs in {pane.target}, and no record has it"
        told.append(Drift(drift_class=DriftClass.UNKNOWN, session=name, what=what, action="registered", pane=pane))
    return told


def _drift(kind: DriftClass, changed: AgentSession, what: str, action: str, before: AgentSession) -> Drift:
    return Drift(drift_class=kind, session=before.name, what=what, action=action, before=before, after=changed)


def _free_name(pane: Pane, taken: AbstractSet[str]) -> str:
    """Return a name for a pane's session: that of its tmux session, with a number where that is taken."""
    name = re.sub("[^A-Za-z0-9_-]", "-", pane.session).lstrip("_-")[:_LONGEST_STEM] or pane.program
    free = name
    for number in count(2):
        if free not in taken:
            break
        free = f"{name}-{number}"
    return free
