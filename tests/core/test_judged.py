"""The figures of readiness over all recordings: those that `make bench` prints."""

import pytest

from tests.bench.screens import Judged, judged, rows

TABLE = list(judged())


@pytest.mark.parametrize("line", TABLE, ids=lambda line: line.program)
def test_no_unsafe_screen_is_typed_into_and_every_ready_one_is_found(line: Judged) -> None:
    assert line.unsafe_ready == 0
    assert line.ready_ready >= 0.99 * line.ready
    assert line.is_reached


def test_there_is_enough_to_judge() -> None:
    assert sum(line.unsafe for line in TABLE) > 80
    assert sum(line.ready for line in TABLE) > 30


def test_a_program_that_is_typed_into_at_the_wrong_time_is_shown() -> None:
    wrong = Judged("wrong", 3, 2, 1, 1, 1)
    blind = Judged("blind", 3, 1, 0, 2, 1)
    assert [line.split()[-1] for line in rows([wrong, blind]) if line][1:] == ["NO", "NO"]
