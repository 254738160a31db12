"""A screen as text with styles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.screen import (
    Cell,
    PaneFacts,
    Style,
    after_cursor,
    before_cursor,
    last_lines,
    plain,
    styled,
    waits_at_cursor,
)
from tests.core.screens import line_screen, with_rows

CODES = st.sampled_from(["0", "", "1", "2", "7", "22", "27", "31", "39", "97", "38;5;246", "48;5;1", "38;2;1;2;3", "4"])


@pytest.mark.parametrize(
    ("codes", "style"),
    [
        ("1", Style(bold=True)),
        ("2", Style(dim=True)),
        ("1;2;7", Style(bold=True, dim=True, reverse=True)),
        ("1;2;22", Style()),
        ("7;27", Style()),
        ("31", Style(colour="31")),
        ("97;39", Style()),
        ("38;5;246", Style(colour="38;5;246")),
        ("38:5:246", Style(colour="38;5;246")),
        ("38;2;1;2;3;1", Style(bold=True, colour="38;2;1;2;3")),
        ("48;5;1;2", Style(dim=True)),
        ("58;5;1;7", Style(reverse=True)),
        ("1;0", Style()),
        ("1;", Style()),
        ("38", Style(colour="38")),
        ("4;9;53", Style()),
    ],
)
def test_a_style_is_read_from_its_sgr_codes(codes: str, style: Style) -> None:
    assert styled((f"\x1b[{codes}mx",)) == [[Cell("x", style)]]


def test_a_style_runs_on_from_row_to_row_until_it_is_reset() -> None:
    bold, usual = Style(bold=True), Style()
    rows = styled(("a\x1b[1mb", "c", "d\x1b[0me"))
    assert rows == [[Cell("a", usual), Cell("b", bold)], [Cell("c", bold)], [Cell("d", bold), Cell("e", usual)]]


@given(st.lists(st.one_of(CODES.map(lambda codes: f"\x1b[{codes}m"), st.text("ab❯ [;m1", max_size=3))).map("".join))
def test_a_plain_row_is_the_text_of_its_styled_cells(row: str) -> None:
    assert plain(row) == "".join(cell.text for cell in styled((row,))[0])
    assert "\x1b" not in plain(row)


def test_a_link_and_a_character_set_are_no_text() -> None:
    assert plain("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07 \x1b(0\x0eq\x0f\x1b(B") == "link q"


def test_the_row_of_the_cursor_is_split_at_it() -> None:
    facts = line_screen("name: \x1b[1mbob\x1b[0m", cursor_x=7)
    assert (before_cursor(facts), after_cursor(facts)) == ("name: b", "ob")


def test_a_row_is_split_by_columns_not_by_characters() -> None:
    facts = line_screen("\u540d\u524de\u0301: bob", cursor_x=7)
    assert (before_cursor(facts), after_cursor(facts)) == ("\u540d\u524de\u0301: ", "bob")


def test_the_cursor_is_found_below_history() -> None:
    facts = with_rows(line_screen("now"), "older", "old", "now", history=2)
    assert (before_cursor(facts), after_cursor(facts)) == ("now", "")


def test_a_cursor_below_all_text_stands_at_nothing() -> None:
    facts = with_rows(line_screen(""), "above", cursor_y=5)
    assert (before_cursor(facts), after_cursor(facts)) == ("", "")


def test_the_last_lines_are_those_that_show_something() -> None:
    facts = with_rows(line_screen(""), "one", "\x1b[1mtwo\x1b[0m  ", "", "three", "four", "   ")
    assert last_lines(facts) == ("two", "three", "four")


@pytest.mark.parametrize(
    ("facts", "waits"),
    [
        (line_screen("> two words"), True),
        (with_rows(line_screen(""), "> two wo", "rds", cursor_x=3, cursor_y=1), True),
        (with_rows(line_screen(""), "> two words", "", cursor_x=0, cursor_y=1), False),
        (with_rows(line_screen(""), "> two words", "two words", "", cursor_x=0, cursor_y=2), False),
        (with_rows(line_screen(""), "> two words", "> ", cursor_x=2, cursor_y=1), False),
        (line_screen("> two words more"), False),
    ],
)
def test_text_waits_only_right_before_the_cursor(facts: PaneFacts, *, waits: bool) -> None:
    assert waits_at_cursor(facts, ">twowords") == waits
