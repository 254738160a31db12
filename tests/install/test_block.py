"""Our part of a user's file: it goes in and comes out again, and nothing else is changed, whatever the file holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.install.block import Marks, muted, unmuted, with_block, without_block

LINES = st.lists(st.text(st.characters(codec="latin-1"), max_size=20).map(lambda text: text.replace("\n", "")))
TEXTS = LINES.map(lambda lines: "".join(f"{line}\n" for line in lines))
MARKS = st.sampled_from(Marks)


@given(TEXTS, TEXTS, MARKS)
def test_a_block_goes_in_and_out_again(text: str, content: str, marks: Marks) -> None:
    assert without_block(with_block(text, content, marks), marks) == text


@given(TEXTS, TEXTS, TEXTS, MARKS)
def test_a_new_block_takes_the_place_of_the_old_one(text: str, old: str, new: str, marks: Marks) -> None:
    assert with_block(with_block(text, old, marks) + text, new, marks) == with_block(text, new, marks) + text


@given(TEXTS)
def test_lines_that_are_put_out_of_use_come_back(text: str) -> None:
    assert unmuted(muted(text, lambda line: "a" in line or line == "\n")) == text


@pytest.mark.parametrize("marks", Marks)
@pytest.mark.parametrize("which", [0, 1])
def test_half_a_block_is_refused(marks: Marks, which: int) -> None:
    text = f"one\n{marks.lines[which]}\ntwo\n"
    with pytest.raises(ValueError, match="only one of the two lines"):
        with_block(text, "ours\n", marks)
    with pytest.raises(ValueError, match="only one of the two lines"):
        without_block(text, marks)


def test_a_file_without_a_last_line_end_gets_one() -> None:
    assert with_block("one", "", Marks.SCRIPT).startswith("one\n# >>>")
