"""What is accepted of a job's events, held against EVENTS.md in other words, whatever comes, and in whatever order."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.chain import chained, verified
from agentmesh.core.event import LAST_SEQ, Event, EventType, signed
from agentmesh.core.job import Job
from agentmesh.core.model import HERE, Origin
from agentmesh.errors import BadEvent
from agentmesh.store import jobs, reports
from agentmesh.store.migrations import migrate
from tests.core.examples import NOW, a_job

HOME = "hub"
SIGNED, OTHER, OPEN, UNKNOWN = (f"{HOME}-{digit * 16}" for digit in "1234")
TOKENS = {SIGNED: "a" * 64, OTHER: "b" * 64, OPEN: "", UNKNOWN: "c" * 64}
LEFT, RIGHT = Origin("left", "pinned"), Origin("right", "claimed")
OUTSIDE = Origin("broker", "mqtt")
YEAR = 365 * 24 * 3600
ENDS = {"completed": "completed", "error": "error", "cancelled": "cancelled", "expired": "expired"}


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """Yield a database in memory that has three jobs."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection)
        for identifier in (SIGNED, OTHER, OPEN):
            job = a_job(id=identifier, home=HOME, is_signed=bool(TOKENS[identifier]))
            jobs.register(connection, job, TOKENS[identifier], "{}", 5)
        yield connection
    finally:
        connection.close()


class Arrival(msgspec.Struct, frozen=True):
    """An event as it arrives."""

    event: Event
    origin: Origin
    is_genuine: bool
    """Whether who made it had the job's token, and nobody has changed it since."""


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    """Draw an event: made by who has the token, or by another; as it was made, or changed on the way."""
    job = draw(st.sampled_from([SIGNED, SIGNED, SIGNED, OPEN, UNKNOWN]))
    made = Event(
        job=job,
        seq=draw(st.sampled_from([5, 6, 7, 8, 9, LAST_SEQ])),
        type=draw(st.sampled_from(EventType)),
        time=draw(st.sampled_from([0, NOW - YEAR, NOW, NOW + YEAR, LAST_SEQ])),
        sender=draw(st.sampled_from(["one", "one", "two", HOME])),
        body=draw(st.sampled_from(["{}", "{}", '{"percent":7}', "[]", '{"a":'])),
    )
    signer = draw(st.sampled_from([job, job, job, OTHER, ""]))
    event = signed(made, TOKENS.get(signer, ""))
    forged = signer != job
    match draw(st.sampled_from(["", "", "", "body", "type", "job", "seq", "sender", "time", "hmac_sig", "cut"])):
        case "body":
            event, forged = msgspec.structs.replace(event, body=event.body + " "), True
        case "type" if event.type is not EventType.COMPLETED:
            event, forged = msgspec.structs.replace(event, type=EventType.COMPLETED), True
        case "job" if job != SIGNED:
            event, forged = msgspec.structs.replace(event, job=SIGNED), True
        case "seq" if event.seq < LAST_SEQ:
            event, forged = msgspec.structs.replace(event, seq=event.seq + 1), True
        case "sender":
            event, forged = msgspec.structs.replace(event, sender=f"{event.sender}x"), True
        case "time" if event.time:
            event, forged = msgspec.structs.replace(event, time=event.time - 1), True
        case "hmac_sig" if event.hmac_sig:
            flipped = f"{int(event.hmac_sig, 16) ^ 1 << draw(st.integers(0, 255)):064x}"
            event, forged = msgspec.structs.replace(event, hmac_sig=flipped), True
        case "cut":
            event, forged = msgspec.structs.replace(event, hmac_sig=""), True
    is_genuine = not forged or event.job == OPEN
    return Arrival(event, draw(st.sampled_from([HERE, HERE, LEFT, RIGHT, OUTSIDE])), is_genuine)


class Page:
    """What EVENTS.md says is accepted, in other words than the program's."""

    def __init__(self) -> None:
        self.state, self.worker, self.host = "registered", "", ""
        self.accepted: list[Event] = []

    def judge(self, arrival: Arrival) -> str:
        """Return a piece of the reason why an event is dropped; empty when it is accepted, which is then noted."""
        event, origin = arrival.event, arrival.origin
        if not arrival.is_genuine:
            return "signature is wrong"
        if event in self.accepted:
            return ""
        mine = [earlier.seq for earlier in self.accepted if earlier.sender == event.sender]
        mine += [5] if event.sender == HOME else []
        is_loss = event.type == "lost" and event.sender == self.worker
        checks = {
            "isn't above": event.seq <= max(mine, default=0),
            "only the job's home says": origin != HERE
            and event.type in {"registered", "cancelled", "expired", "lost"}
            and not is_loss,
            "only the job's home is called": origin != HERE and event.sender == HOME,
            "has ended already": self.state in ENDS.values(),
            "has claimed the job already": event.type == "claimed" and bool(self.worker),
            "it is not from": event.type in {"started", "progress", "completed", "error"}
            and self.worker not in {"", event.sender},
            "not there": event.sender == self.worker
            and bool(self.host)
            and origin in {LEFT, RIGHT}
            and origin.host != self.host,
            "can't become": event.type == "registered",
            "its body": event.body in {"[]", '{"a":'},
        }
        for reason, is_so in checks.items():
            if is_so:
                return reason
        self._note(event, origin)
        return ""

    def _note(self, event: Event, origin: Origin) -> None:
        self.accepted.append(event)
        if event.type in {"claimed", "started", "progress", "completed", "error"} and not self.worker:
            self.worker = event.sender
            self.host = HOME if origin == HERE else origin.host if origin in {LEFT, RIGHT} else ""
        if event.type != "lost":
            self.state = {**ENDS, "claimed": "claimed"}.get(event.type, "started")


@given(st.lists(arrivals(), max_size=14), st.data())
def test_events_are_accepted_or_dropped_as_the_page_says(came: list[Arrival], data: st.DataObject) -> None:
    # Whatever came may come again, later, from elsewhere.
    again = data.draw(st.lists(st.sampled_from(came), max_size=6)) if came else []
    replayed = [msgspec.structs.replace(arrival, origin=data.draw(st.sampled_from([HERE, LEFT]))) for arrival in again]
    pages = {SIGNED: Page(), OPEN: Page()}
    dropped: dict[str, list[str]] = {SIGNED: [], OPEN: []}
    with database() as connection:
        for number, arrival in enumerate([*came, *replayed]):
            job = arrival.event.job
            reason = pages[job].judge(arrival) if job in pages else "there is no job"
            taken = jobs.take(connection, arrival.event, arrival.origin, NOW + number)
            if reason:
                assert isinstance(taken, jobs.Refusal), reason
                assert reason in taken.reason
                dropped.setdefault(job, []).append(reason)
            else:
                assert isinstance(taken, Job), taken
                assert (taken.state, taken.worker, taken.worker_host) == (
                    pages[job].state,
                    pages[job].worker,
                    pages[job].host,
                )
        for job, page in pages.items():
            entries = jobs.entries(connection, job)
            assert [entry.event for entry in entries[1:]] == page.accepted
            noted = jobs.dropped(connection, job)
            assert all(reason in entry.reason for reason, entry in zip(dropped[job], noted, strict=True))
            assert len(verified(chained(entries), TOKENS[job])) == len(entries)
        assert jobs.dropped(connection, UNKNOWN) == []


def test_no_more_than_a_hundred_drops_are_noted() -> None:
    forged = Event(job=SIGNED, seq=1, type=EventType.COMPLETED, time=0, sender="x")
    with database() as connection:
        noted = [jobs.take(connection, forged, LEFT, NOW) for _ in range(jobs.MOST_DROPPED + 5)]
        assert [refusal.is_noted for refusal in noted if isinstance(refusal, jobs.Refusal)] == 100 * [True] + 5 * [
            False
        ]
        assert len(jobs.dropped(connection, SIGNED)) == jobs.MOST_DROPPED


def test_numbers_go_up_whatever_the_clock_does_and_end_with_a_reason() -> None:
    with database() as connection:
        clock = [1000, 1001, 1001, 7, 10**15, 1002]
        for now_us in clock:
            assert isinstance(jobs.report(connection, SIGNED, "one", EventType.PROGRESS, "{}", now_us), Job)
        seqs = [entry.event.seq for entry in jobs.entries(connection, SIGNED, 1)]
        assert seqs == [1000, 1001, 1002, 1003, 10**15, 10**15 + 1]
        last = signed(Event(job=SIGNED, seq=LAST_SEQ, type=EventType.PROGRESS, time=0, sender="one"), TOKENS[SIGNED])
        jobs.accept(connection, last, HERE, NOW)
        with pytest.raises(BadEvent, match="used the last seq"):
            jobs.report(connection, SIGNED, "one", EventType.PROGRESS, "{}", NOW)


def test_what_is_reported_to_another_host_is_numbered_on_though_it_was_settled() -> None:
    far = f"far-{'5' * 16}"
    with database() as connection:
        for now_us in (1000, 7, 7):
            event = reports.store(connection, far, "one", EventType.PROGRESS, "{}", "d" * 64, now_us)
            assert reports.waiting(connection) == [event]
            assert reports.settle(connection, "liar", far, "one", event.seq) is None
            assert reports.settle(connection, "far", far, "one", event.seq) == event
            assert reports.settle(connection, "far", far, "one", event.seq) is None
        assert event.seq == 1002
        assert reports.homes(connection) == []


def test_of_each_emitter_the_oldest_event_goes_first() -> None:
    far = f"far-{'5' * 16}"
    with database() as connection:
        for sender in ("one", "two", "one", "two", "three"):
            reports.store(connection, far, sender, EventType.PROGRESS, "{}", "", 1)
        first = reports.next_of_each(connection, "far", 2)
        assert [(event.sender, event.seq) for event in first] == [("one", 1), ("two", 1)]
        reports.settle(connection, "far", far, "one", 1)
        following = reports.next_of_each(connection, "far", 3)
        assert [(event.sender, event.seq) for event in following] == [("two", 1), ("one", 2), ("three", 1)]


def test_an_ending_names_each_job_that_it_could_be() -> None:
    with database() as connection:
        reports.keep_grant(connection, f"far-{'0' * 15}1", "d" * 64)
        assert jobs.ending(connection, "2222") == [OTHER]
        assert jobs.ending(connection, OTHER) == [OTHER]
        assert jobs.ending(connection, "1") == [f"far-{'0' * 15}1", SIGNED]
        assert jobs.ending(connection, "%") == []


def test_a_forged_end_of_another_host_that_has_the_token_too_is_dropped() -> None:
    def event(seq: int, kind: EventType, sender: str = "one") -> Event:
        return signed(Event(job=SIGNED, seq=seq, type=kind, time=0, sender=sender), TOKENS[SIGNED])

    with database() as connection:
        assert jobs.accept(connection, event(1, EventType.CLAIMED), LEFT, NOW).worker_host == "left"
        with pytest.raises(BadEvent, match="one has claimed the job on left, not there"):
            jobs.accept(connection, event(2, EventType.COMPLETED), RIGHT, NOW)
        with pytest.raises(BadEvent, match="only the job's home says cancelled"):
            jobs.accept(connection, event(3, EventType.CANCELLED), LEFT, NOW)
        with pytest.raises(BadEvent, match="only the job's home is called hub"):
            jobs.accept(connection, event(LAST_SEQ, EventType.PROGRESS, HOME), LEFT, NOW)
        assert jobs.accept(connection, event(4, EventType.LOST), LEFT, NOW).lost
        assert jobs.accept(connection, event(5, EventType.COMPLETED), OUTSIDE, NOW).state == "completed"


def test_a_job_whose_brief_was_to_be_sent_and_was_not_is_known() -> None:
    with database() as connection:
        job = a_job(id=UNKNOWN, home=HOME)
        jobs.register(connection, job, TOKENS[UNKNOWN], "{}", 5, awaits_brief=True)
        assert jobs.unsent(connection) == [UNKNOWN]
        jobs.note_briefs(connection, UNKNOWN, [])
        assert jobs.unsent(connection) == []
