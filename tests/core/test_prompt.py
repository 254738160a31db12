"""Where a message is drawn among the rows of a shell's screen."""

from agentmesh.core.prompt import shown_above_prompt
from tests.core.screens import line_screen, with_rows


def test_a_line_that_is_wrapped_at_a_blank_is_moved_whole() -> None:
    output = ("one", "two", "three", "four", "five")
    facts = with_rows(line_screen(""), *output, "$ 45678", "rest", cursor_x=4, cursor_y=6, width=8)
    drawn = "\x1b[1A\r\x1b[J\x1b[0mhi\r\n$ 45678\r\nrest\x1b[0m\x1b[5G"
    assert shown_above_prompt(facts, "hi") == drawn
