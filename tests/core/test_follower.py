"""Who follows with the token believes what is signed, in its order, once; whatever else is said."""

import contextlib
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.event import LAST_SEQ, Event, EventType, signed
from agentmesh.core.follower import Follower
from agentmesh.errors import BadEvent

JOB, OTHER = "hub-00112233aabbccdd", "hub-ffffffffffffffff"
TOKEN = "5a" * 32
REPORTS = (EventType.CLAIMED, EventType.STARTED, EventType.PROGRESS, EventType.COMPLETED, EventType.ERROR)


def message(
    seq: int, kind: EventType = EventType.PROGRESS, *, job: str = JOB, token: str = TOKEN, time: int = 0
) -> bytes:
    return msgspec.json.encode(signed(Event(job=job, seq=seq, type=kind, time=time, sender="me"), token))


def believed(messages: Sequence[bytes]) -> list[int]:
    """Return the numbers of the events that a follower takes."""
    follower, taken = Follower(JOB, TOKEN), []
    for each in messages:
        with contextlib.suppress(BadEvent):
            if event := follower.take(each):
                taken.append(event.seq)
    return taken


@given(st.lists(st.integers(1, LAST_SEQ)))
def test_what_comes_again_or_late_is_passed_over(numbers: list[int]) -> None:
    highest, expected = 0, []
    for number in numbers:
        if number > highest:
            expected.append(number)
            highest = number
    assert believed([message(number) for number in numbers]) == expected


@given(st.data(), st.integers(1, LAST_SEQ), st.sampled_from(REPORTS))
def test_a_message_that_was_bent_cut_or_lengthened_is_not_another_event(
    data: st.DataObject, seq: int, kind: EventType
) -> None:
    whole = message(seq, kind)
    place = data.draw(st.integers(0, len(whole) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    bent = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
    for each in (bent, whole[:place], whole + whole[place:]):
        with contextlib.suppress(BadEvent):
            event = Follower(JOB, TOKEN).take(each)
            assert event is None or message(event.seq, event.type) == whole  # a bit in a name that is passed over


@pytest.mark.parametrize(
    "forged",
    [
        message(1, EventType.COMPLETED, token="00" * 32),
        message(1, EventType.COMPLETED, token=""),
        message(1, EventType.COMPLETED, job=OTHER),
        message(1, EventType.CANCELLED),
        message(1).replace(b'"seq":1', b'"seq":9223372036854775808'),
        b"",
        b"[" * 100_000,
    ],
    ids=["token", "unsigned", "job", "homes", "seq", "empty", "deep"],
)
def test_what_is_not_the_jobs_is_refused(forged: bytes) -> None:
    with pytest.raises(BadEvent):
        Follower(JOB, TOKEN).take(forged)


@pytest.mark.parametrize("time", [0, 1_800_000_000 + 365 * 24 * 3600, LAST_SEQ])
def test_a_clock_that_is_wrong_changes_nothing(time: int) -> None:
    assert believed([message(1, time=time), message(2)]) == [1, 2]


def test_the_last_number_is_the_last() -> None:
    assert believed([message(LAST_SEQ), message(1), message(LAST_SEQ)]) == [LAST_SEQ]
