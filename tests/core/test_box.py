"""Input boxes: found, read, and told from what only looks like one."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmesh.core.box import LONGEST_PASTE, BoxReading, BoxState, fits, foreign, holds, read_box
from agentmesh.core.model import Box
from agentmesh.core.screen import PaneFacts, plain
from agentmesh.core.text import squash
from tests.core.screens import overwritten, retouched
from tests.screens import recordings

IDLE = [name for name in recordings.names() if recordings.state_of(name) in recordings.IDLE]
UNSAFE = [name for name in recordings.names() if recordings.state_of(name) in recordings.UNSAFE]
DIALOGS = [name for name in UNSAFE if recordings.state_of(name) in recordings.DIALOGS]


NO_BOX = "aider-busy-half"
"""What was typed there is nowhere seen: aider shows no box while it works."""
TYPED = {
    "half": ("hello wor", "half a line"),
    "busy-half": ("half a line",),
    "unasked-half": ("half a line",),
    "narrow-half": ("half a line that is longer than this pane is wide, so that it wraps",),
    "multi": ("line one\nline two\nline thr", "line one\nline two thr"),
    "draft": ("human draft two", r"my draft \[from .* the schema has changed"),
}
"""What was typed when a recording was made, by its state."""


NOT_THERE = {BoxState.ABSENT, BoxState.BLOCKED}
"""A box that isn't found, and below the conversation nothing but what that quotes."""


def read(facts: PaneFacts, name: str) -> BoxReading:
    return read_box(facts, recordings.profile(recordings.program_of(name)))


def box_of(name: str) -> Box:
    box = recordings.profile(recordings.program_of(name)).box
    assert box
    return box


def box_row(name: str) -> int:
    """Return the row of the prompt: the lowest that starts with its glyph."""
    box = box_of(name)
    texts = [plain(row).strip() for row in recordings.load(name).rows]
    return max(number for number, text in enumerate(texts) if text[:1] and text[0] in box.prompt)


@pytest.mark.parametrize("name", IDLE)
def test_an_idle_box_is_empty(name: str) -> None:
    assert read(recordings.load(name), name) == BoxReading(BoxState.EMPTY)


@pytest.mark.parametrize("name", [name for name in UNSAFE if recordings.state_of(name) in TYPED and name != NO_BOX])
def test_what_was_typed_is_read(name: str) -> None:
    reading = read(recordings.load(name), name)
    assert reading.state is BoxState.FILLED
    assert any(re.fullmatch(squash(text), squash(reading.text)) for text in TYPED[recordings.state_of(name)])


# Every sign must be there.


@pytest.mark.parametrize("name", IDLE)
def test_a_box_without_its_cursor_is_not_empty(name: str) -> None:
    facts = recordings.load(name)
    box = box_of(name)
    assert read(msgspec.structs.replace(facts, cursor_visible=not facts.cursor_visible), name).state is BoxState.ABSENT
    if facts.cursor_visible or box.cursor != "drawn":
        for x, y in ((facts.cursor_x + 1, facts.cursor_y), (facts.cursor_x, facts.cursor_y - 1), (0, 0)):
            moved = msgspec.structs.replace(facts, cursor_x=x, cursor_y=y)
            assert read(moved, name).state is BoxState.ABSENT
    else:
        undrawn = retouched(facts, box_row(name), lambda row: row.replace("\x1b[7m", ""))
        assert read(undrawn, name).state is not BoxState.EMPTY


@pytest.mark.parametrize("name", IDLE)
def test_a_box_without_a_rule_it_has_is_not_there(name: str) -> None:
    facts, box, row = recordings.load(name), box_of(name), box_row(name)
    ruled: dict[str, list[range | list[int]]] = {
        "none": [],
        "above": [range(row - 1 - box.lead_rows, row)],
        "below": [[row + 1]],
        "both": [[row - 1], [row + 1]],
    }
    for numbers in ruled[box.rules]:
        rules = [number for number in numbers if any(sign * 10 in plain(facts.rows[number]) for sign in "─━▀▄")]
        assert rules
        without = facts
        for rule in rules:
            without = overwritten(without, rule, "")
        assert read(without, name).state in NOT_THERE


@pytest.mark.parametrize("name", [name for name in IDLE if box_of(name).always_placeholder])
def test_a_box_without_its_placeholder_is_not_known_to_be_empty(name: str) -> None:
    box = box_of(name)
    facts = recordings.load(name)
    prompt = re.compile(rf"[{box.prompt}]")
    blank = retouched(
        facts, box_row(name), lambda row: prompt.split(row)[0] + box.prompt[0] + "\x1b[0m \x1b[7m \x1b[0m"
    )
    assert read(blank, name).state is not BoxState.EMPTY


@pytest.mark.parametrize("name", IDLE)
def test_a_box_with_too_much_below_it_is_another_screen_s(name: str) -> None:
    covered = overwritten(recordings.load(name), box_row(name) + 4, *["  a sub-agent"] * 9)
    assert read(covered, name).state in NOT_THERE


@pytest.mark.parametrize("name", IDLE)
@pytest.mark.parametrize("glyph", "x!$#%")
def test_a_program_that_looks_as_always_under_another_glyph_is_unknown(name: str, glyph: str) -> None:
    glyphs = box_of(name).prompt
    other = retouched(
        recordings.load(name), box_row(name), lambda row: "".join(glyph if c in glyphs else c for c in row)
    )
    assert read(other, name).state in NOT_THERE


# Dialogs.


@pytest.mark.parametrize("name", DIALOGS)
def test_a_dialog_is_seen(name: str) -> None:
    assert read(recordings.load(name), name).state is BoxState.BLOCKED


@given(st.sampled_from(IDLE), st.sampled_from(DIALOGS), st.integers(1, 6), st.data())
@settings(max_examples=400)
def test_no_part_of_a_dialog_below_an_idle_box_leaves_it_ready(
    name: str, dialog: str, below: int, data: st.DataObject
) -> None:
    rows = recordings.load(dialog).rows
    options = recordings.options(recordings.load(dialog))
    first = data.draw(st.integers(max(0, options - 12), options))
    last = data.draw(st.integers(options + 1, len(rows)))
    shown = [f"\x1b[0m{row}" for row in rows[first:last]]
    asked = overwritten(recordings.load(name), box_row(name) + below, *shown)
    assert read(asked, name).state is not BoxState.EMPTY


@given(st.sampled_from(UNSAFE), st.data())
@settings(max_examples=400)
def test_no_cut_makes_a_dialog_or_a_draft_ready(name: str, data: st.DataObject) -> None:
    facts = recordings.load(name)
    end = data.draw(st.integers(0, len(facts.rows)))
    start = data.draw(st.integers(0, end))
    reading = read(msgspec.structs.replace(facts, rows=facts.rows[start:end]), name)
    assert reading.state is not BoxState.EMPTY or reading.busy


@pytest.mark.parametrize("name", IDLE)
@pytest.mark.parametrize("other", recordings.BOXED)
def test_one_program_s_box_is_not_another_s(name: str, other: str) -> None:
    if recordings.program_of(name) != other:
        assert read_box(recordings.load(name), recordings.profile(other)).state is not BoxState.EMPTY


# Whether it is ours.

CLAUDE, CODEX, COPILOT = (box_of(f"{name}-idle") for name in ("claude", "codex", "copilot"))


def filled(text: str) -> BoxReading:
    return BoxReading(BoxState.FILLED, text)


@pytest.mark.parametrize(
    ("shown", "text", "box"),
    [
        ("[from a @ b] hi", "[from a @ b] hi", CLAUDE),
        ("[from a\n @ b]\nhi", "[from a @ b] hi ", CLAUDE),
        ("e\u0301a", "\u00e9a", CLAUDE),
        ("[Pasted text #46 +169 lines]", "x\n" * 169, CLAUDE),
        ("[Pasted Content 9972 chars]", "x" * 9972, CODEX),
        ("[Paste #1 - 170 lines]", "x\n" * 169, COPILOT),
    ],
)
def test_a_box_holds_our_text_or_the_token_of_just_its_length(shown: str, text: str, box: Box) -> None:
    assert holds(filled(shown), text, box)
    assert foreign(filled(shown), text, box) is None


@pytest.mark.parametrize(
    ("shown", "text", "box"),
    [
        ("hi", "hi there", CLAUDE),
        ("hi there", "hi", CLAUDE),
        ("[Pasted text #46 +168 lines]", "x\n" * 169, CLAUDE),
        ("[Pasted text #46]", "x\n" * 169, CLAUDE),
        ("[Pasted Content 9972 chars]", "x" * 9971, CODEX),
        ("[Paste #1 - 170 lines]", "x\n" * 169, CODEX),
        ("a[Paste #1 - 170 lines]", "x\n" * 169, COPILOT),
    ],
)
def test_a_box_that_holds_less_or_more_does_not_hold_our_text(shown: str, text: str, box: Box) -> None:
    assert not holds(filled(shown), text, box)


BREAKS, CHARACTERS = r"\+(?P<breaks>\d+) lines", r"(?P<characters>\d+) chars"


@pytest.mark.parametrize(
    ("text", "token"),
    [("short", ""), ("two\nlines", ""), ("three\nlines\nhere", BREAKS), ("x" * 601, CHARACTERS)],
)
def test_a_text_fits_a_box_that_shows_it_or_tells_its_length(text: str, token: str) -> None:
    assert fits(text, Box(prompt="❯", paste_token=token))


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("three\nlines\nhere", ""),
        ("x" * 601, ""),
        ("x" * 601, BREAKS),
        ("\U0001f98a" * 601, CHARACTERS),
        ("a tab\tis not kept", ""),
        ("x" * (LONGEST_PASTE + 1), CHARACTERS),
    ],
)
def test_a_text_that_could_not_be_recognised_does_not_fit(text: str, token: str) -> None:
    assert not fits(text, Box(prompt="❯", paste_token=token))


def test_only_a_filled_box_holds_anything() -> None:
    for state in set(BoxState) - {BoxState.FILLED}:
        assert not holds(BoxReading(state, "hi"), "hi", CLAUDE)
        assert foreign(BoxReading(state, "a hi"), "hi", CLAUDE) is None


@pytest.mark.parametrize(
    ("shown", "text", "box", "around"),
    [
        ("my draft[from a @ b] hi", "[from a @ b] hi", CLAUDE, ("my draft", "")),
        ("[from a @ b]\nhi no", "[from a @ b] hi", CLAUDE, ("", " no")),
        ("a [from] hi b", "[from]hi", CLAUDE, ("a ", " b")),
        ("wait[Paste #1 - 3 lines]x", "1\n2\n3", COPILOT, ("wait", "x")),
        ("[Paste #1 - 3 lines][Paste #2 - 4 lines]", "1\n2\n3", COPILOT, ("", "[Paste #2 - 4 lines]")),
        ("[Paste #1 - 3 lines][Paste #2 - 3 lines]", "1\n2\n3", COPILOT, None),
        ("hi hi", "hi", CLAUDE, None),
        ("another text", "hi", CLAUDE, None),
    ],
)
def test_what_is_not_ours_is_told_apart(shown: str, text: str, box: Box, around: tuple[str, str] | None) -> None:
    assert foreign(filled(shown), text, box) == around


@given(st.text("ab \n", max_size=6), st.text("xyz \n", min_size=1).filter(str.strip), st.text("ab \n", max_size=6))
def test_our_text_is_found_between_what_others_typed(before: str, text: str, after: str) -> None:
    found = foreign(filled(before + text + after), text, CLAUDE)
    if not (before + after).strip():
        assert found is None
    else:
        assert found
        assert ["".join(part.split()) for part in found] == ["".join(part.split()) for part in (before, after)]
