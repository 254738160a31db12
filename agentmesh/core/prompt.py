"""What stands at a shell's prompt, and how a text is shown above it without touching it. Pure."""

from itertools import pairwise, takewhile

from agentmesh.core.screen import SEQUENCE, PaneFacts, plain

_MOST_PROMPT_ROWS = 3
"""How many rows of a prompt may stand above the one with the cursor."""


def shown_above_prompt(facts: PaneFacts, text: str) -> str:
    """Return what to write to a terminal so that text stands above the prompt and the line that is being typed.

    All their rows are drawn again as they were, below the text, and the cursor is put where it was in them: a shell
    moves only relative to those.
    """
    rows = list(facts.rows[facts.history :])
    rows += [""] * (facts.cursor_y + 1 - len(rows))
    first, last = _block([plain(row).rstrip() for row in rows], facts)
    lines = text.replace("\n", "\r\n")
    start = f"\x1b[{facts.cursor_y - first}A" if facts.cursor_y > first else ""
    up = f"\x1b[{last - facts.cursor_y}A" if last > facts.cursor_y else ""
    drawn = _style_after(rows[:first]) + _drawn(rows[first : last + 1], facts.width)
    return f"{start}\r\x1b[J\x1b[0m{lines}\r\n{drawn}\x1b[0m{up}\x1b[{facts.cursor_x + 1}G"


def _block(texts: list[str], facts: PaneFacts) -> tuple[int, int]:
    """Return the first and the last row of the prompt and the line that is being typed."""
    first = last = facts.cursor_y
    while last + 1 < len(texts) and texts[last + 1]:
        last += 1
    while first and _is_full(texts[first - 1], facts):
        first -= 1
    return first - _rows_of_prompt_above(texts[:first], texts[first]), last


def _rows_of_prompt_above(above: list[str], line: str) -> int:
    """Return how many rows right above a line belong to the same prompt.

    They begin as those above an earlier prompt do. Where there is none to compare with, a few rows below a blank one,
    or at the top of the screen, are taken for its own: to move a row too much harms nothing.
    """
    earlier = next(
        (row for row in reversed(range(len(above))) if above[row] and _word(above[row]) == _word(line)), None
    )
    if earlier is not None and line:
        alike = zip(reversed(above), reversed(above[:earlier]), strict=False)
        count = sum(1 for _ in takewhile(lambda pair: pair[0] and _word(pair[0]) == _word(pair[1]), alike))
        return count if count <= _MOST_PROMPT_ROWS else 0
    count = sum(1 for _ in takewhile(bool, reversed(above)))
    return count if count <= _MOST_PROMPT_ROWS else 0


def _word(row: str) -> str:
    return (row.split(maxsplit=1) or [""])[0]


def _is_full(text: str, facts: PaneFacts) -> bool:
    return len(text) >= facts.width


def _drawn(rows: list[str], width: int) -> str:
    """Return rows one below the other; a full one goes on by itself into the next, as it did before."""
    drawn = rows[0]
    for before, row in pairwise(rows):
        goes_on = len(plain(before)) >= width and plain(row)
        drawn += row if goes_on else f"\r\n{row}"
    return drawn


def _style_after(rows: list[str]) -> str:
    """Return the sequences that bring about the style in which rows end: it runs on into the next."""
    sequences = [found[0] for row in rows for found in SEQUENCE.finditer(row) if found[1] is not None]
    resets = [number for number, sequence in enumerate(sequences) if sequence in {"\x1b[0m", "\x1b[m"}]
    return "".join(sequences[resets[-1] + 1 :] if resets else sequences)
