"""The life of a message, as a table. Pure.

Every pair of state and event is in the table, or raises and changes nothing::

    accepted ──▶ stored ──▶ pasting ──▶ pasted ──▶ submitted
        │        │    ▲        │           │
        │        │    └────────┴───────────┤ (nothing of it is in the pane, for certain: never typed, or taken back)
        │        │             ├──▶ displayed (at a shell prompt)
        │        │             └──▶ uncertain ◀── pasted
        │        └──▶ refused, denied, failed, expired, withdrawn
        └──▶ unreachable, failed, expired, withdrawn, uncertain (the link was cut before its answer came)

Whatever is about to appear in a pane is ``pasting`` on disk first, so that a crash in between is known.
"""

from enum import StrEnum


class State(StrEnum):
    """How far a message got."""

    ACCEPTED = "accepted"
    """On the sender's disk."""
    STORED = "stored"
    """On the disk of the pane's host."""
    PASTING = "pasting"
    """About to appear in the pane; recorded before it does."""
    PASTED = "pasted"
    """Seen whole in the pane, not submitted yet."""
    SUBMITTED = "submitted"
    """The program took it."""
    DISPLAYED = "displayed"
    """Shown to a person at a shell prompt."""
    REFUSED = "refused"
    """The pane is not ready; nothing was typed."""
    DENIED = "denied"
    """The pane is closed to messages."""
    UNREACHABLE = "unreachable"
    """It never left the sender's host."""
    EXPIRED = "expired"
    """Its time was over before the pane was ready."""
    WITHDRAWN = "withdrawn"
    """Its sender took it back before anything was typed."""
    FAILED = "failed"
    """Something broke before anything was typed."""
    UNCERTAIN = "uncertain"
    """It may have been taken, or not: what we saw doesn't prove either."""


class Event(StrEnum):
    """What happens to a message."""

    STORE = "store"
    PASTE = "paste"
    SEE = "see"
    TAKE = "take"
    SHOW = "show"
    RETURN = "return"
    """The pane holds nothing of it, for certain."""
    REFUSE = "refuse"
    DENY = "deny"
    MISS = "miss"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"
    FAIL = "fail"
    LOSE = "lose"


class IllegalEvent(Exception):
    """A message in this state can't meet this event; it stays as it was."""


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.ACCEPTED, Event.STORE): State.STORED,
    (State.ACCEPTED, Event.MISS): State.UNREACHABLE,
    (State.ACCEPTED, Event.FAIL): State.FAILED,
    (State.ACCEPTED, Event.EXPIRE): State.EXPIRED,
    (State.ACCEPTED, Event.WITHDRAW): State.WITHDRAWN,
    (State.ACCEPTED, Event.LOSE): State.UNCERTAIN,
    (State.STORED, Event.PASTE): State.PASTING,
    (State.STORED, Event.REFUSE): State.REFUSED,
    (State.STORED, Event.DENY): State.DENIED,
    (State.STORED, Event.FAIL): State.FAILED,
    (State.STORED, Event.EXPIRE): State.EXPIRED,
    (State.STORED, Event.WITHDRAW): State.WITHDRAWN,
    (State.STORED, Event.LOSE): State.UNCERTAIN,
    (State.PASTING, Event.RETURN): State.STORED,
    (State.PASTING, Event.SEE): State.PASTED,
    (State.PASTING, Event.SHOW): State.DISPLAYED,
    (State.PASTING, Event.FAIL): State.FAILED,
    (State.PASTING, Event.LOSE): State.UNCERTAIN,
    (State.PASTED, Event.RETURN): State.STORED,
    (State.PASTED, Event.TAKE): State.SUBMITTED,
    (State.PASTED, Event.LOSE): State.UNCERTAIN,
}

EXIT_CODES: dict[State, int] = {
    State.SUBMITTED: 0,
    State.DISPLAYED: 0,
    State.REFUSED: 3,
    State.UNREACHABLE: 4,
    State.FAILED: 4,
    State.EXPIRED: 5,
    State.WITHDRAWN: 5,
    State.DENIED: 6,
    State.UNCERTAIN: 7,
}
"""What ``notify-pane`` exits with, by the state a message ended in; these states are the ends."""


def step(state: State, event: Event) -> State:
    """Return the state after an event; raise IllegalEvent when the table has no such step.

    >>> step(State.STORED, Event.PASTE).value
    'pasting'
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalEvent(f"{event} in state {state}") from None


def exit_code(state: State) -> int:
    """Return what ``notify-pane`` exits with; 0 for a message that is safely stored and goes on by itself.

    >>> exit_code(State.SUBMITTED), exit_code(State.STORED), exit_code(State.UNCERTAIN)
    (0, 0, 7)
    """
    return EXIT_CODES.get(state, 0)


def is_end(state: State) -> bool:
    """Tell whether nothing can happen to a message any more.

    >>> is_end(State.PASTED), is_end(State.UNCERTAIN)
    (False, True)
    """
    return state in EXIT_CODES
