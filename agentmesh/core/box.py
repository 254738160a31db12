"""The input box of a full-screen program: where it is, what stands in it, whether the program works meanwhile. Pure.

Matched from the bottom up: a prompt glyph, a question or a list of choices above a live box is a quotation.
"""

import re
import unicodedata
from enum import StrEnum

import msgspec

from agentmesh.core.model import Box, Profile
from agentmesh.core.screen import Cell, PaneFacts, Row, styled
from agentmesh.core.text import squash

_RULE = re.compile(r"\s*[╭╰┌└╻╹]?[─━═▀▄_]{10,}.*")
_OPTION = re.compile(r"^\W*?[❯›●>▶→◉]\s*\d+[.)]\s")
"""A caret before a numbered choice."""
_CHOICE = re.compile(r"^\W*\d+[.)]\s|^\s*[❯›]\s+\S")
"""A choice, or a caret before one."""
_KEYS = re.compile(
    r"\besc(?:ape)? (?:to )?(?:cancel|dismiss|go back|exit|reject|close)"
    r"|\benter (?:to )?(?:accept|select|confirm|submit|continue|view)|↑/?↓.*\b(?:navigate|select)"
    r"|\(y\)es\b|[\[(]y(?:es)?/n(?:o)?[\])]|\ballow (?:once|always)\b|\bpress (?:enter|any key)\b",
    re.IGNORECASE,
)
"""The keys or words that answer a question, whichever program asks it."""
_WORK = re.compile(
    r"^\s*[⠁-⣿] \S|\besc (?:esc )?(?:to )?interrupt|[(·].*\besc to cancel|\bretrying in \d|\battempt \d+/\d+"
    r"|\b(?:start|connect|wait|initiali[sz])\w*\b.*\bMCP servers?\b",
    re.IGNORECASE,
)
"""What a program shows next to its box while it works, starts, or tries again."""
_ROWS_ABOVE = 3
"""How many rows above the box may tell of the program's work; those further up are conversation."""
_ROWS_OF_QUESTION = 15
"""Where no box is: how many of the lowest rows are searched for a question."""
LONGEST_PASTE = 20_000
"""Characters beyond which nothing is pasted into a box: a file is easier to read, for programs and for people."""
_DRAWN = "\u200b"
"""What some programs put under the cursor they draw: a blank without width."""


class BoxState(StrEnum):
    """What a program's input box is found to be."""

    EMPTY = "empty"
    FILLED = "filled"
    BLOCKED = "blocked"
    """A question stands in front of it."""
    COVERED = "covered"
    """A harmless panel stands in front of it."""
    ABSENT = "absent"


class BoxReading(msgspec.Struct, frozen=True):
    """An input box as it stands on a screen."""

    state: BoxState
    text: str = ""
    """What was typed into it; a placeholder is not text."""
    busy: bool = False
    """The program works, whatever stands in its box."""


def read_box(facts: PaneFacts, profile: Profile) -> BoxReading:
    """Find the program's input box on the screen and read it."""
    box = profile.box
    if box is None:
        return BoxReading(BoxState.ABSENT)
    rows = styled(facts.rows[facts.history :])
    texts = ["".join(cell.text for cell in row).rstrip() for row in rows]
    place = _find(rows, texts, facts.cursor_y, box)
    busy = _is_busy(facts, texts, place, box)
    if box.blocked_title and re.search(box.blocked_title, facts.title):
        return BoxReading(BoxState.BLOCKED, busy=busy)
    if place is None:
        return BoxReading(_without_box(texts, box), busy=busy)
    if _OPTION.search(texts[place.first]) or _asks(texts[place.last + 1 :]):
        return BoxReading(BoxState.BLOCKED, busy=busy)
    cursor = _cursor(rows, facts, place, box)
    typed = "\n".join(_typed(rows[number], number, cursor, place, box) for number in place.rows)
    text = typed.replace(_DRAWN, "").strip()
    if re.fullmatch(box.placeholder_text, " ".join(text.split())):
        text = ""
    if cursor is None or cursor[1] not in place.rows:
        return BoxReading(BoxState.ABSENT, text, busy)
    if text:
        return BoxReading(BoxState.FILLED, text, busy)
    is_empty = cursor == (place.start, place.rows[0]) and (not box.always_placeholder or _has_text(rows, place))
    return BoxReading(BoxState.EMPTY if is_empty else BoxState.ABSENT, busy=busy)


class _Place(msgspec.Struct, frozen=True):
    """Where a box stands on the screen."""

    first: int
    last: int
    rows: range
    """Those of its rows that hold text."""
    start: int
    """The column of the first character."""


def _find(rows: list[Row], texts: list[str], cursor_row: int, box: Box) -> _Place | None:
    """Return the place of the lowest box on the screen; none when a sign of it is missing."""
    shown = [number for number, text in enumerate(texts) if text]
    for first in range(shown[-1] if shown else -1, -1, -1):
        column = _prompt_column(rows[first], texts[first], box)
        if column is not None:
            find = _bordered if box.border_rows else _block
            place = find(texts, first, column, cursor_row, box)
            return place if place and _is_framed(texts, shown, place, box) else None
    return None


def _prompt_column(row: Row, text: str, box: Box) -> int | None:
    """Return the column of the prompt glyph that starts a row; None where none does."""
    column = len(text) - len(text.lstrip())
    if (column != box.margin and not box.border_rows) or column >= len(row) or row[column].text not in box.prompt:
        return None
    if len(row) > column + 1 and row[column + 1].text.strip():
        return None
    return column if not box.prompt_style or row[column].style.has(box.prompt_style) else None


def _block(texts: list[str], prompt: int, column: int, cursor_row: int, box: Box) -> _Place | None:
    """Return the place of a box that begins with its prompt."""
    first = last = prompt
    while box.repeats and first and _starts(texts[first - 1], column, box):
        first -= 1
    while last + 1 < len(texts) and not _ends(texts[last + 1], box):
        last += 1
    if box.footer_rows and last + 1 == cursor_row < len(texts) and not texts[cursor_row]:
        last += 1  # its text ends with a line break
    if box.footer_rows and last + 1 == cursor_row < len(texts) and not texts[cursor_row]:
        last += 1  # its text ends with a line break
    following = texts[first + 1 : last + 1]
    if box.repeats and not all(_starts(text, column, box) for text in following):
        return None
    if not box.repeats and any(text[: column + box.indent].strip() for text in following):
        return None
    return _Place(first, last, range(first, last + 1), column + box.indent)


def _starts(text: str, column: int, box: Box) -> bool:
    return text[: column + 1] in {" " * column + glyph for glyph in box.prompt}


def _bordered(texts: list[str], last: int, column: int, _: int, box: Box) -> _Place | None:
    """Return the place of a box whose rows all begin with the same border."""
    first = last
    while first and _starts(texts[first - 1], column, box):
        first -= 1
    above, below = box.border_rows or (0, 0)
    rows = range(first + above, last + 1 - below)
    edges = [*range(first, rows.start), rows.stop] if below else range(first, rows.start)
    if not rows or any(texts[number][column + 1 :].strip() for number in edges):
        return None
    return _Place(first, last, rows, column + box.indent)


def _is_framed(texts: list[str], shown: list[int], place: _Place, box: Box) -> bool:
    """Tell whether the rules stand where this box has them, and little below it."""
    below = texts[place.last + 1 : place.last + 2]
    if box.rules in {"above", "both"} and not _is_ruled(texts, place, box):
        return False
    if box.rules in {"below", "both"} and not any(map(_RULE.fullmatch, below)):
        return False
    return sum(number > place.last for number in shown) - (box.rules in {"below", "both"}) <= box.footer_rows


def _is_ruled(texts: list[str], place: _Place, box: Box) -> bool:
    """Tell whether a rule stands above, and no part of the text between."""
    for text in reversed(texts[max(0, place.first - 1 - box.lead_rows) : place.first]):
        if _RULE.fullmatch(text):
            return True
        if _starts(text, box.margin, box):
            return False
    return False


def _ends(text: str, box: Box) -> bool:
    return bool(_RULE.fullmatch(text)) or (box.rules != "both" and not text.strip())


def _cursor(rows: list[Row], facts: PaneFacts, place: _Place, box: Box) -> tuple[int, int] | None:
    """Return column and row of the cursor; None when it isn't as the program has it while it takes input."""
    match box.cursor:
        case "shown":
            return (facts.cursor_x, facts.cursor_y) if facts.cursor_visible else None
        case "hidden":
            return None if facts.cursor_visible else (facts.cursor_x, facts.cursor_y)
        case "drawn" if facts.cursor_visible:
            return facts.cursor_x, facts.cursor_y
        case "drawn":
            drawn = (
                (column, number)
                for number in place.rows
                for column, cell in enumerate(rows[number])
                if cell.style.reverse
            )
            return next(drawn, None)


def _typed(row: Row, number: int, cursor: tuple[int, int] | None, place: _Place, box: Box) -> str:
    """Return what was typed in a row of the box: all its text, unless it is the placeholder's."""
    shown = [(column, cell) for column, cell in enumerate(row) if column >= place.start and cell.text.strip()]
    rest = [cell for column, cell in shown if (column, number) != cursor]
    if rest and all(_is_placeholder(cell, box) for cell in rest):
        return ""
    return "".join(cell.text for cell in row[place.start :]).rstrip()


def _has_text(rows: list[Row], place: _Place) -> bool:
    return any(cell.text.strip() for number in place.rows for cell in rows[number][place.start :])


def _is_placeholder(cell: Cell, box: Box) -> bool:
    return any(cell.style.has(style) for style in box.placeholder)


def _is_busy(facts: PaneFacts, texts: list[str], place: _Place | None, box: Box) -> bool:
    if box.busy_title and re.match(box.busy_title, facts.title):
        return True
    if place is None:
        return False
    if box.footer and not any(re.search(box.footer, text) for text in texts[place.last + 1 :]):
        return True
    edges = 1 + box.lead_rows if box.rules in {"above", "both"} else 0
    above = [text for text in texts[: place.first - edges] if text]
    near = [*above[-_ROWS_ABOVE:], *texts[max(0, place.first - edges) : place.first], *texts[place.last + 1 :]]
    return any(_WORK.search(text) or any(words in text for words in box.busy_text) for text in near)


def _without_box(texts: list[str], box: Box) -> BoxState:
    """Say what stands where the box should be."""
    rules = [number for number, text in enumerate(texts[:-1]) if _RULE.fullmatch(text) and not text.startswith(" ")]
    title, *rest = texts[rules[-1] + 1 :] if rules else [""]
    if any(re.match(panel, title) for panel in box.panels) and not any(map(_OPTION.search, rest)):
        return BoxState.COVERED
    lowest = [text for text in texts if text][-_ROWS_OF_QUESTION:]
    asks = any(_OPTION.search(text) or _KEYS.search(text) for text in lowest)
    return BoxState.BLOCKED if asks else BoxState.ABSENT


def _asks(texts: list[str]) -> bool:
    """Tell whether rows below a box hold a choice."""
    return any(_CHOICE.search(text) or _KEYS.search(text) for text in texts)


def fits(text: str, box: Box) -> bool:
    """Tell whether a pasted text can be recognised in the box: shown as it is, or as a token that tells its length.

    One with a tab does not: some programs make spaces of it.
    """
    if "\t" in text:
        return False
    lines = text.count("\n") + 1
    if len(text) <= box.longest and lines <= box.most_lines:
        return True
    told = re.compile(box.paste_token).groupindex.keys() if box.paste_token else set()
    # Programs differ in how they count a character beyond U+FFFF, and show another token for a single line.
    is_told = max(text) < "\U00010000" if "characters" in told else bool(told) and lines > 1
    return is_told and len(text) <= LONGEST_PASTE


def holds(reading: BoxReading, text: str, box: Box) -> bool:
    """Tell whether the box holds exactly this text, or what the program shows for a paste of exactly its length."""
    if reading.state is not BoxState.FILLED:
        return False
    if squash(reading.text) == squash(text):
        return True
    token = re.fullmatch(box.paste_token, reading.text.strip()) if box.paste_token else None
    return token is not None and _is_for(token, text)


def foreign(reading: BoxReading, text: str, box: Box) -> tuple[str, str] | None:
    """Return what stands before our text and after it, when the box holds our text once and something else beside it.

    None when it holds nothing else, or not our text, or what is ours can't be told apart.
    """
    if reading.state is not BoxState.FILLED or holds(reading, text, box):
        return None
    shown = unicodedata.normalize("NFC", reading.text)
    tokens = re.finditer(box.paste_token, shown) if box.paste_token else ()
    places = _occurrences(shown, squash(text)) or [token.span() for token in tokens if _is_for(token, text)]
    if len(places) != 1:
        return None
    ((start, end),) = places
    return shown[:start], shown[end:]


def _is_for(token: re.Match[str], text: str) -> bool:
    """Tell whether a token tells the length of this text, and of no shorter or longer one."""
    lengths = {"lines": text.count("\n") + 1, "breaks": text.count("\n"), "characters": len(text)}
    told = {name: length for name, length in token.groupdict().items() if length is not None}
    return bool(told) and all(int(length) == lengths[name] for name, length in told.items())


def _occurrences(shown: str, squashed: str) -> list[tuple[int, int]]:
    """Return where a squashed text stands in one that isn't squashed."""
    kept = [position for position, character in enumerate(shown) if squash(character)]
    dense = "".join(shown[position] for position in kept)
    starts = [found.start() for found in re.finditer(f"(?={re.escape(squashed)})", dense)] if squashed else []
    return [(kept[start], kept[start + len(squashed) - 1] + 1) for start in starts]
