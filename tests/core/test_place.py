"""Where a text waits for Enter: read from screens."""

import msgspec
import pytest

from agentmesh.core.place import Landmark, Line, Rest, Waiting, backspaces, ended_safely, landmark, occurrences
from agentmesh.core.screen import full_rows_above
from agentmesh.core.text import squash
from tests.core.screens import line_screen, with_rows

OURS = "[from hub @ 1970-01-01T00:00:00Z] hello"


@pytest.mark.parametrize(
    ("shown", "before", "waiting"),
    [
        (OURS, "", Waiting.ALONE),
        (f"path: {OURS}", "path:", Waiting.ALONE),
        (f"mine{OURS}", "", Waiting.AMONG),
        (f"path: mine{OURS}", "path:", Waiting.AMONG),
        (f"{OURS}mine", "", Waiting.AMONG),
        (OURS[:-3], "", Waiting.GONE),
        ("", "", Waiting.GONE),
        ("path: ", "path:", Waiting.GONE),
    ],
)
def test_a_line_tells_our_text_from_what_somebody_else_typed(shown: str, before: str, waiting: Waiting) -> None:
    assert Line(OURS, before).waiting(line_screen(shown)) is waiting


def test_what_stands_on_both_sides_of_our_text_is_told() -> None:
    assert Line(OURS, "$").rest(line_screen(f"$ one{OURS}two")) == Rest("one", "two")


def test_a_line_of_wide_characters_that_has_wrapped_is_ours() -> None:
    text = OURS + "漢" * 40
    facts = line_screen("漢" * 19)
    rows = [OURS + "漢" * 20, "漢" * 20]
    wrapped = msgspec.structs.replace(facts, rows=tuple(rows), cursor_x=40, cursor_y=1, width=80)
    assert Line(text, "").waiting(wrapped) is Waiting.ALONE


def test_a_landmark_is_the_lowest_literal_piece_and_the_first_row_that_shows_it() -> None:
    facts = msgspec.structs.replace(line_screen(""), rows=("hello there", "❯ #{x} hello there", "footer"))
    assert landmark(facts, "#{x} hello there") == Landmark("hello there", 1)
    assert landmark(facts, "漢") is None


def test_a_text_on_the_screen_is_counted_there_alone() -> None:
    facts = msgspec.structs.replace(line_screen(""), rows=("old ours", "old ours", "ours", ""), history=2)
    assert occurrences(facts, "ours") == 1
    gone = msgspec.structs.replace(facts, history=3)
    assert (occurrences(gone, "old ours"), occurrences(gone, "nothing")) == (2, 0)


@pytest.mark.parametrize("text", ["see @src", "a/b", "/word", "me@example.org", "C:\\", "lines\nand /word"])
def test_a_last_word_that_a_program_may_complete_is_closed(text: str) -> None:
    assert ended_safely(text) == f"{text} "


@pytest.mark.parametrize("text", ["done", "@src is seen", "1/2 done"])
def test_any_other_text_is_left_as_it_is(text: str) -> None:
    assert ended_safely(text) == text


@pytest.mark.parametrize("text", ["e\u0301", "👍", "👩\u200d💻", "❤\ufe0f", "a\tb"])
def test_what_programs_count_in_different_ways_is_not_taken_back(text: str) -> None:
    assert backspaces(text) is None


def test_plain_text_is_taken_back_by_its_characters() -> None:
    assert backspaces("two\nlines, ünïcödé 漢字") == len("two\nlines, ünïcödé 漢字")


def test_a_full_row_above_an_empty_line_is_no_part_of_what_is_typed_there() -> None:
    full = "x" * 20
    before = with_rows(line_screen(""), full, "", width=20, cursor_x=0, cursor_y=1)
    line = Line("hello", "", squash(full_rows_above(before)))
    assert line.content(before) == ""
    typed = with_rows(before, full, "hello", cursor_x=5)
    assert line.waiting(typed) is Waiting.ALONE
    assert Line("hello", "").waiting(typed) is Waiting.AMONG
    assert line.waiting(with_rows(before, full, "hello you", cursor_x=9)) is Waiting.AMONG
    assert line.waiting(with_rows(before, full, "hello", "", cursor_x=0, cursor_y=2)) is Waiting.GONE
