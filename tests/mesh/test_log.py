"""What a peer says or does again and again fills no disk."""

from pathlib import Path

import pytest

from agentmesh.agent.log import LARGEST_LOG, LONGEST_FACT, MINUTE, MOST_A_MINUTE, OLD_LOGS, SORTS, EventLog


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Written:
    """A log, its clock and its file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.clock = Clock()
        self.log = EventLog(f"test {file}", self.clock)

    def lines(self, *events: tuple[str, dict[str, object]]) -> list[str]:
        """Write events; return what the file has of them."""
        with self.log.writing(self.file):
            for event, facts in events:
                self.log.warning(event, **facts)
        return [line.partition(" WARNING ")[2] for line in self.file.read_text().splitlines()]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "log")


def test_an_event_is_one_line_whatever_its_facts_are(written: Written) -> None:
    assert written.lines(("link is up", {"peer": "a b\nc\x1b", "n": 1})) == [r'link is up peer="a b\nc\u001b" n=1']


def test_a_flood_of_one_event_is_cut_and_others_are_written(written: Written) -> None:
    flood: list[tuple[str, dict[str, object]]] = [("flood", {"n": number}) for number in range(10_000)]
    lines = written.lines(*flood, ("another", {}), ("flood", {"reason": "another"}))
    assert lines == [*(f"flood n={number}" for number in range(MOST_A_MINUTE)), "another", "flood reason=another"]


def test_reasons_that_never_repeat_are_cut_too(written: Written) -> None:
    flood: list[tuple[str, dict[str, object]]] = [("flood", {"reason": str(number)}) for number in range(10_000)]
    assert len(written.lines(*flood)) <= MOST_A_MINUTE * SORTS


def test_how_much_was_left_out_is_told_a_minute_later(written: Written) -> None:
    written.lines(*[("flood", {})] * (MOST_A_MINUTE + 7))
    written.clock.now += MINUTE
    assert written.lines(("flood", {"n": 1}), ("flood", {"n": 2}))[-2:] == ["flood n=1 left_out=7", "flood n=2"]


def test_a_long_fact_is_cut_and_its_length_told(written: Written) -> None:
    (line,) = written.lines(("said", {"reason": "x" * 1_000_000}))
    assert len(line) < LONGEST_FACT + 100
    assert "1,000,000 characters" in line


def test_a_log_that_has_grown_large_is_put_aside_and_the_oldest_goes(written: Written) -> None:
    events = LARGEST_LOG * (OLD_LOGS + 2) // LONGEST_FACT
    facts: dict[str, object] = {"fact": "x" * LONGEST_FACT}
    written.lines(*((f"event {number}", facts) for number in range(events)))
    kept = sorted(written.file.parent.glob("log*"))
    assert [path.name for path in kept] == ["log", *(f"log.{number + 1}" for number in range(OLD_LOGS))]
    assert max(path.stat().st_size for path in kept) <= LARGEST_LOG
    assert f"event {events - 1} " in written.file.read_text().splitlines()[-1]
