"""Lengths of time as people write them."""

import pytest

from agentmesh.core.duration import parse_duration
from agentmesh.errors import UsageError


@pytest.mark.parametrize(("text", "seconds"), [("366d", 366 * 86400), (" 2H ", 7200), ("0.1", 1)])
def test_a_length_of_time_is_seconds_and_at_least_one(text: str, seconds: int) -> None:
    assert parse_duration(text, "") == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "1w", "367d", "999999999d", "9" * 10])
def test_what_is_none_or_longer_than_can_be_kept_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text, "notify-pane")
