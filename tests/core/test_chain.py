"""A record whose lines follow on each other: any change of one is found."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.chain import BadLine, Entry, chained, unchained
from agentmesh.core.event import Event, EventType

ENTRIES = [
    Entry(
        number=number,
        received=number,
        event=Event(job="hub-00112233aabbccdd", seq=number, type=EventType.PROGRESS, time=0, sender="w"),
    )
    for number in range(1, 6)
]
LINES = chained(ENTRIES)


def test_what_was_written_is_read() -> None:
    assert [entry.event for entry in unchained(LINES)] == [entry.event for entry in ENTRIES]


def test_lines_follow_on_those_that_were_there() -> None:
    assert chained(ENTRIES[:2]) + chained(ENTRIES[2:], LINES[1]) == LINES


@given(st.integers(0, 4), st.integers(0), st.integers(0, 7))
def test_a_changed_byte_is_found_unless_it_is_in_the_last_line(line: int, place: int, bit: int) -> None:
    changed = bytearray(LINES[line])
    changed[place % len(changed)] ^= 1 << bit
    lines = [*LINES[:line], bytes(changed), *LINES[line + 1 :]]
    if line < len(LINES) - 1:
        with pytest.raises(BadLine):
            unchained(lines)


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ([LINES[0], LINES[2]], 2),
        ([LINES[1]], 1),
        ([LINES[0], LINES[0]], 2),
        ([LINES[1], LINES[0]], 1),
        ([LINES[0], b"nonsense"], 2),
        ([LINES[0], msgspec.json.encode(msgspec.structs.replace(ENTRIES[1], previous="0" * 64))], 2),
    ],
    ids=["left out", "cut off in front", "doubled", "swapped", "nonsense", "another"],
)
def test_the_first_line_that_does_not_follow_is_named(lines: list[bytes], number: int) -> None:
    with pytest.raises(BadLine) as found:
        unchained(lines)
    assert found.value.number == number
