"""Screens to judge: small ones, and recorded ones with changes."""

from collections.abc import Callable

import msgspec

from agentmesh.core.screen import PaneFacts, plain
from tests.screens import recordings


def line_screen(text: str, cursor_x: int | None = None, **changes: object) -> PaneFacts:
    """Return a screen of one line, as a line reader has it, with the cursor at its end."""
    x = len(plain(text)) if cursor_x is None else cursor_x
    facts = msgspec.structs.replace(recordings.load("cat-idle"), rows=(text,), cursor_x=x, cursor_y=0)
    return msgspec.structs.replace(facts, **changes)


def with_rows(facts: PaneFacts, *rows: str, **changes: object) -> PaneFacts:
    """Return a screen with other rows."""
    return msgspec.structs.replace(facts, rows=rows, **changes)


def overwritten(facts: PaneFacts, first: int, *rows: str, **changes: object) -> PaneFacts:
    """Return a screen with some rows, from one on, drawn over."""
    drawn = list(facts.rows) + [""] * (first + len(rows) - len(facts.rows))
    drawn[first : first + len(rows)] = rows
    return msgspec.structs.replace(facts, rows=tuple(drawn), **changes)


def retouched(facts: PaneFacts, number: int, change: Callable[[str], str]) -> PaneFacts:
    """Return a screen with one row changed."""
    return overwritten(facts, number, change(facts.rows[number]))
