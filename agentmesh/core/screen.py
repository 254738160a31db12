"""What a pane shows, read as text with styles. Pure.

The source is ``tmux capture-pane -p -e``: rows of text with SGR sequences, whose state runs on from row to row.
"""

import re
import unicodedata
from typing import NamedTuple

import msgspec

from agentmesh.core.text import squash

SEQUENCE = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|[\x0e\x0f]")


class PaneFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What tmux says of a pane at one moment; its screen included."""

    pane: str
    pid: int
    tty: str
    command: str
    """The name of the program in front, as tmux sees it: a hint."""
    title: str
    dead: bool
    in_mode: bool
    """Someone reads its history, or a tree or menu covers it."""
    synchronized: bool
    input_off: bool
    alternate: bool
    """A full-screen program has the screen."""
    cursor_x: int
    cursor_y: int
    cursor_visible: bool
    width: int
    height: int
    denied: bool
    """``@agent-deny on``."""
    shell_is_agent: bool
    """``@agent-shell on``."""
    rows: tuple[str, ...]
    """The rows shown, with SGR sequences, and before them as many rows of history as were asked for."""
    history: int = 0
    """How many of the rows are history."""
    time: float = 0.0
    """When this was seen, Unix seconds."""
    typed: int = 0
    """When a person last pressed a key in a tmux client that shows this pane as its active one, Unix seconds; 0 when no
    client does."""

    @property
    def cursor_row(self) -> int:
        """The cursor's place in ``rows``."""
        return self.history + self.cursor_y


class Style(NamedTuple):
    """The part of a cell's looks that tells typed text from a placeholder."""

    bold: bool = False
    dim: bool = False
    reverse: bool = False
    colour: str = ""
    """The foreground as SGR parameters: ``38;5;246``; empty for the default."""

    def has(self, parameters: str) -> bool:
        """Tell whether this style includes one SGR attribute: ``1`` (bold), ``2`` (dim) or a foreground colour."""
        match parameters:
            case "1":
                return self.bold
            case "2":
                return self.dim
            case _:
                return self.colour == parameters


class Cell(NamedTuple):
    """One character of the screen."""

    text: str
    style: Style


Row = list[Cell]


def plain(row: str) -> str:
    r"""Return a captured row without its styles.

    >>> plain("\x1b[1mCodex\x1b[0m")
    'Codex'
    """
    return SEQUENCE.sub("", row)


def styled(rows: tuple[str, ...]) -> list[Row]:
    """Read captured rows into cells, carrying the style from row to row as tmux does."""
    style = Style()
    result = []
    for row in rows:
        cells: Row = []
        position = 0
        for sequence in SEQUENCE.finditer(row):
            cells.extend(Cell(character, style) for character in row[position : sequence.start()])
            position = sequence.end()
            if sequence[1] is not None:
                style = _restyled(style, sequence[1])
        cells.extend(Cell(character, style) for character in row[position:])
        result.append(cells)
    return result


_SWITCHES: dict[int, dict[str, bool | str]] = {
    1: {"bold": True},
    2: {"dim": True},
    7: {"reverse": True},
    22: {"bold": False, "dim": False},
    27: {"reverse": False},
    39: {"colour": ""},
}


def _restyled(style: Style, parameters: str) -> Style:
    """Apply one SGR sequence (ECMA-48, section 8.3.117)."""
    codes = [int(code) if code else 0 for code in re.split("[;:]", parameters)]
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = Style()
        elif code in {38, 48, 58}:
            length = 2 if codes[:1] == [5] else 4
            colour = ";".join(str(part) for part in (code, *codes[:length]))
            del codes[:length]
            style = style._replace(colour=colour) if code == 38 else style  # noqa: PLR2004 (the code for a foreground)
        elif 30 <= code <= 37 or 90 <= code <= 97:  # noqa: PLR2004 (the sixteen foreground colours)
            style = style._replace(colour=str(code))
        elif code in _SWITCHES:
            style = style._replace(**_SWITCHES[code])  # type: ignore[arg-type]
    return style


def before_cursor(facts: PaneFacts) -> str:
    """Return the text left of the cursor, in its row."""
    return _split_at_cursor(facts)[0]


def full_rows_above(facts: PaneFacts) -> str:
    """Return the full rows right above the cursor's: what is typed there next looks like their wrapped rest."""
    text, above = "", facts.cursor_row
    while 0 < above <= len(facts.rows) and is_full(facts.rows[above - 1], facts.width):
        text, above = plain(facts.rows[above - 1]) + text, above - 1
    return text


def after_cursor(facts: PaneFacts) -> str:
    """Return the text at the cursor and right of it, in its row."""
    return _split_at_cursor(facts)[1]


def prompt_before_cursor(facts: PaneFacts) -> str:
    """Return the text left of the cursor, with the rows above of which it is the wrapped rest."""
    text, above = before_cursor(facts), facts.cursor_row
    while text and above > 0 and is_full(facts.rows[above - 1], facts.width):
        text, above = plain(facts.rows[above - 1]) + text, above - 1
    return text


def _split_at_cursor(facts: PaneFacts) -> tuple[str, str]:
    text = plain(facts.rows[facts.cursor_row]) if facts.cursor_row < len(facts.rows) else ""
    column = 0
    for position, character in enumerate(text):
        if column >= facts.cursor_x:
            return text[:position], text[position:]
        column += _columns(character)
    return text, ""


def is_full(row: str, width: int) -> bool:
    """Tell whether a row may run on in the next: it is as wide as the pane, but for a blank that tmux leaves out."""
    return sum(map(_columns, plain(row))) >= width - 1


def _columns(character: str) -> int:
    """Return how many columns a terminal gives a character."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def up_to_cursor(facts: PaneFacts) -> str:
    """Return all that is shown up to the cursor, squashed: what a line reader's typed text ends."""
    above = (plain(row) for row in facts.rows[: facts.cursor_row])
    return squash("".join(above) + before_cursor(facts))


def last_lines(facts: PaneFacts, count: int = 3) -> tuple[str, ...]:
    """Return the last lines that show something, without styles."""
    shown = [text for row in facts.rows if (text := plain(row).rstrip())]
    return tuple(shown[-count:])


def waits_at_cursor(facts: PaneFacts, awaited: str) -> bool:
    """Tell whether squashed text stands right before the cursor: typed, and not submitted."""
    return bool(before_cursor(facts).strip()) and up_to_cursor(facts).endswith(awaited)
