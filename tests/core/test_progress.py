"""The line that shows how far long work is."""

from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.progress import bar

sizes = st.integers(0, 2**50)


@given(st.text(), sizes, sizes, st.floats(0, 1e6), st.integers(0, 300))
def test_the_bar_stays_within_the_terminal(label: str, done: int, total: int, seconds: float, columns: int) -> None:
    assert len(bar(label, done, total, seconds, columns)) <= max(columns - 1, 0)


@given(sizes, sizes)
def test_no_more_than_all_is_done(done: int, total: int) -> None:
    assert 0 <= int(bar("x", done, total, 1.0, 300).partition("]")[2].partition("%")[0]) <= 100
