"""Where a text waits for Enter: on the line before the cursor, or in a program's input box. Pure."""

import re
import unicodedata
from enum import StrEnum
from typing import NamedTuple

import msgspec

from agentmesh.core.box import BoxReading, BoxState, foreign, holds, read_box
from agentmesh.core.model import Box, Profile
from agentmesh.core.screen import PaneFacts, plain, prompt_before_cursor, up_to_cursor, waits_at_cursor
from agentmesh.core.text import squash

_EDGE = 24
"""Squashed characters at either end of a text by which a remnant of it is known."""
_LITERAL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 @._-]*[A-Za-z0-9])?")
"""What tmux's formats and its search take as it is."""
_GOOD_LANDMARK = 8
_PROMPT_ENDS = tuple(":>»❯›$%#=])")


class Waiting(StrEnum):
    """How a text that was pasted stands in its place."""

    ALONE = "alone"
    """Whole, and nothing else but the draft that was known to be there."""
    AMONG = "among other text"
    """Whole, with text that somebody else typed."""
    GONE = "gone"
    """Nothing of it is there."""
    UNCLEAR = "unclear"
    """Not whole; or something covers the place."""


class Rest(NamedTuple):
    """What stands in a place besides our text, squashed."""

    before: str
    after: str


class Landmark(NamedTuple):
    """A literal piece of what stands in a place, and the first row of the screen that shows it, from 1."""

    text: str
    row: int


class Line(msgspec.Struct, frozen=True):
    """The line before the cursor: of a program that reads lines, of a shell or of anything unknown."""

    text: str
    before: str
    """The line as it was before, squashed: a prompt, or a draft that is to be joined."""
    above: str = ""
    """Full rows that stood right above it, squashed: they are no part of it, though they look so."""

    def rest(self, facts: PaneFacts) -> Rest | None:
        """Return what stands there besides our text; None when that isn't there whole."""
        ours = squash(self.text)
        line = self._line(facts)
        whole = self.before + ours
        # A row of wide characters isn't joined with the next: the line may be only the end of ours.
        if whole.endswith(line) and waits_at_cursor(facts, whole):
            return Rest("", "")
        at = line.rfind(ours)
        if at < 0 or not line.startswith(self.before):
            return None
        return Rest(line[len(self.before) : at], line[at + len(ours) :])

    def waiting(self, facts: PaneFacts) -> Waiting:
        """Say how our text stands there."""
        rest = self.rest(facts)
        if rest is None:
            return Waiting.GONE
        return Waiting.AMONG if any(rest) else Waiting.ALONE

    def content(self, facts: PaneFacts) -> str | None:
        """Return what stands there, squashed; None when that can't be told."""
        line = self._line(facts)
        return line.removeprefix(self.before) if line.startswith(self.before) else None

    def _line(self, facts: PaneFacts) -> str:
        line = squash(prompt_before_cursor(facts))
        return line.removeprefix(self.above) if self.before == "" else line

    def shown(self, facts: PaneFacts) -> str:  # noqa: ARG002 (an input box may show a token instead)
        """Return our text as it is shown there."""
        return self.text


class InputBox(msgspec.Struct, frozen=True):
    """The input box of a program that has a profile."""

    text: str
    profile: Profile
    box: Box
    draft: str = ""
    """What stood in it before, squashed, and is to be joined."""

    def rest(self, facts: PaneFacts) -> Rest | None:
        """Return what stands there besides our text; None when that isn't there whole."""
        reading = read_box(facts, self.profile)
        if holds(reading, self.text, self.box):
            return Rest("", "")
        beside = foreign(reading, self.text, self.box)
        return Rest(squash(beside[0]), squash(beside[1])) if beside else None

    def waiting(self, facts: PaneFacts) -> Waiting:
        """Say how our text stands there."""
        rest = self.rest(facts)
        if rest is not None:
            return Waiting.ALONE if rest.before + rest.after == self.draft else Waiting.AMONG
        reading = read_box(facts, self.profile)
        match reading.state:
            case BoxState.EMPTY:
                return Waiting.GONE
            case BoxState.FILLED if not self._has_remnant(reading):
                return Waiting.GONE
            case BoxState.ABSENT if self._stays_above(facts):
                return Waiting.GONE
            case _:
                return Waiting.UNCLEAR

    def content(self, facts: PaneFacts) -> str | None:
        """Return what stands there, squashed; None when that can't be told."""
        reading = read_box(facts, self.profile)
        return squash(reading.text) if reading.state in {BoxState.EMPTY, BoxState.FILLED} else None

    def shown(self, facts: PaneFacts) -> str:
        """Return our text as it is shown there: it may be a token that stands for it."""
        return read_box(facts, self.profile).text

    def _stays_above(self, facts: PaneFacts) -> bool:
        """Tell whether the text has become a part of the conversation, where the box itself is the end of that."""
        ends = not self.box.footer_rows and self.box.rules in {"none", "above"}
        above = squash("".join(plain(row) for row in facts.rows[: facts.cursor_row]))
        return ends and squash(self.text) in above

    def _has_remnant(self, reading: BoxReading) -> bool:
        """Tell whether the box may still hold some of our text: a completion may have rewritten it."""
        ours, shown = squash(self.text), squash(reading.text)
        token = self.box.paste_token and re.search(self.box.paste_token, reading.text)
        return bool(token) or ours[:_EDGE] in shown or ours[-_EDGE:] in shown


Place = Line | InputBox


def occurrences(facts: PaneFacts, text: str) -> int:
    """Return how often a text stands on the screen; where it doesn't, how often in the history that was asked for.

    A program that clears its screen leaves copies of it in the history.
    """
    rows = [plain(row) for row in facts.rows]
    shown = squash("".join(rows[facts.history :])).count(squash(text))
    return shown or squash("".join(rows)).count(squash(text))


def ended_safely(text: str) -> str:
    r"""Return text that opens no completion and breaks no line: a last word with ``@`` or ``/`` is closed by a space.

    So is a backslash at the end, which makes a line break of the Enter.

    >>> ended_safely("see @src"), ended_safely("done")
    ('see @src ', 'done')
    """
    last = text.rsplit(maxsplit=1)[-1]
    return f"{text} " if "@" in last or "/" in last or last.endswith("\\") else text


def is_behind_cursor(facts: PaneFacts, text: str) -> bool:
    """Tell whether the cursor stands right after a text's end."""
    return up_to_cursor(facts).endswith(squash(text)[-_EDGE:])


def ends_with_prompt(line: str) -> bool:
    """Tell whether a squashed line is nothing, or ends as prompts do.

    >>> ends_with_prompt("path:"), ends_with_prompt(""), ends_with_prompt("my own")
    (True, True, False)
    """
    return not line or line.endswith(_PROMPT_ENDS)


def landmark(facts: PaneFacts, shown: str) -> Landmark | None:
    """Return a literal piece of a text from the lowest row of the screen that shows one.

    tmux can test in the same step as it presses a key that this piece still stands in that row.
    """
    rows = [plain(row) for row in facts.rows[facts.history :]]
    wanted = squash(shown)
    best = ""
    for row in reversed(rows):
        pieces = [piece for piece in _LITERAL.findall(row) if squash(piece) in wanted]
        best = max([best, *pieces], key=len)
        if len(best) >= _GOOD_LANDMARK:
            break
    if not best:
        return None
    return Landmark(best, next(number for number, row in enumerate(rows, 1) if best in row))


def backspaces(text: str) -> int | None:
    r"""Return how many times Backspace takes a text back; None when programs differ in how they count its characters.

    >>> backspaces("two\nlines"), backspaces("e\u0301"), backspaces("\U0001f98a")
    (9, None, None)
    """
    # Marks and invisible characters join others; programs written in JavaScript may count one beyond U+FFFF as two.
    plainly = all(character == "\n" or unicodedata.category(character)[0] not in "MC" for character in text)
    return len(text) if plainly and max(text) < "\U00010000" else None
