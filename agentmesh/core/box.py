"""The input box of a full-screen program: where it is, what stands in it, whether the program waits. Pure.

Matched from the bottom up: a prompt glyph further up is a quotation in the conversation.
"""

import re
from enum import StrEnum

import msgspec

from agentmesh.core.model import Box, Profile
from agentmesh.core.screen import Cell, PaneFacts, Row, styled

_RULE = re.compile(r"[─━═▀▄_]{10,}.*")
_OPTION = re.compile(r"\s*[❯›●>▶]\s*\d+[.)]\s")


class BoxState(StrEnum):
    """What a program's input box is found to be."""

    EMPTY = "empty"
    FILLED = "filled"
    BUSY = "busy"
    BLOCKED = "blocked"
    ABSENT = "absent"


class BoxReading(msgspec.Struct, frozen=True):
    """An input box as it stands on a screen."""

    state: BoxState
    text: str = ""
    """What was typed into it; a placeholder is not text."""


def read_box(facts: PaneFacts, profile: Profile) -> BoxReading:
    """Find the program's input box on the screen and read it."""
    box = profile.box
    if box is None:
        return BoxReading(BoxState.ABSENT)
    if box.blocked_title and re.search(box.blocked_title, facts.title):
        return BoxReading(BoxState.BLOCKED)
    rows = styled(facts.rows[facts.history :])
    texts = ["".join(cell.text for cell in row).rstrip() for row in rows]
    place = _find(rows, texts, box)
    if place is None:
        options = any(_OPTION.match(text) for text in texts)
        return BoxReading(BoxState.BLOCKED if options else BoxState.ABSENT)
    first, last = place
    if any(_OPTION.match(text) for text in texts[first:]):
        return BoxReading(BoxState.BLOCKED)
    content = [
        _typed(row[box.indent :], facts, number, box) for number, row in enumerate(rows[first : last + 1], first)
    ]
    text = "\n".join(content).strip()
    if _is_busy(facts, texts, last, box):
        return BoxReading(BoxState.BUSY, text)
    if facts.cursor_visible != box.cursor_visible or not first <= facts.cursor_y <= last:
        return BoxReading(BoxState.ABSENT, text)
    if text:
        return BoxReading(BoxState.FILLED, text)
    at_start = facts.cursor_x == box.indent and facts.cursor_y == first
    return BoxReading(BoxState.EMPTY if at_start else BoxState.ABSENT)


def _find(rows: list[Row], texts: list[str], box: Box) -> tuple[int, int] | None:
    """Return the first and last row of the lowest box on the screen."""
    shown = [number for number, text in enumerate(texts) if text]
    if not shown:
        return None
    for first in range(shown[-1], -1, -1):
        if not _is_prompt(rows[first], box):
            continue
        last = first
        while last + 1 < len(texts) and not _ends(texts[last + 1], box):
            last += 1
        closed = not box.ruled or (
            first > 0
            and _RULE.fullmatch(texts[first - 1])
            and last + 1 < len(texts)
            and _RULE.fullmatch(texts[last + 1])
        )
        below = [number for number in shown if number > last + box.ruled]
        return (first, last) if closed and len(below) <= box.footer_rows else None
    return None


def _is_prompt(row: Row, box: Box) -> bool:
    if len(row) < 2 or row[0].text != box.prompt or row[1].text.strip():  # noqa: PLR2004 (glyph and blank)
        return False
    return not box.prompt_style or row[0].style.has(box.prompt_style)


def _ends(text: str, box: Box) -> bool:
    return bool(_RULE.fullmatch(text)) if box.ruled else not text.strip()


def _typed(row: Row, facts: PaneFacts, number: int, box: Box) -> str:
    """Return what was typed in a row of the box: all its text, unless it is the placeholder's."""
    shown = [(column, cell) for column, cell in enumerate(row, box.indent) if cell.text.strip()]
    under_cursor = [cell for column, cell in shown if (column, number) == (facts.cursor_x, facts.cursor_y)]
    rest = [cell for _, cell in shown if cell not in under_cursor]
    if rest and all(_is_placeholder(cell, box) for cell in rest) and len(under_cursor) <= 1:
        return ""
    return "".join(cell.text for cell in row).rstrip()


def _is_placeholder(cell: Cell, box: Box) -> bool:
    return any(cell.style.has(style) for style in box.placeholder)


def _is_busy(facts: PaneFacts, texts: list[str], last: int, box: Box) -> bool:
    if box.busy_title and re.match(box.busy_title, facts.title):
        return True
    return any(words in text for text in texts[last + 1 :] for words in box.busy_text)
