"""The life of a job: its table, who may report, and what an end absorbs."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.event import Event, EventType
from agentmesh.core.job import (
    EXIT_CODES,
    OF_THE_HOME,
    TRANSITIONS,
    Job,
    JobState,
    after,
    brief_text,
    is_end,
    is_from_its_pane,
)
from agentmesh.core.model import HERE, Origin
from agentmesh.errors import BadEvent

ID = "hub-00112233aabbccdd"
NEW = Job(id=ID, home="hub", submitter="hub-dev-me", to="@all", hosts=("hub",), title="", brief="do it", created=1)


def event(kind: EventType, sender: str = "w", body: str = "{}") -> Event:
    return Event(job=ID, seq=1, type=kind, time=0, sender=sender, body=body)


def test_every_state_and_event_is_a_step_or_an_error() -> None:
    for state, kind in product(JobState, EventType):
        job = Job(**{**{name: getattr(NEW, name) for name in NEW.__struct_fields__}, "state": state})
        if (state, kind) in TRANSITIONS:
            assert after(job, event(kind), 5).state == TRANSITIONS[state, kind]
        else:
            with pytest.raises(BadEvent):
                after(job, event(kind), 5)


@given(st.lists(st.sampled_from(EventType), max_size=12))
def test_an_end_absorbs_all_that_follows(kinds: list[EventType]) -> None:
    job = NEW
    for kind in kinds:
        try:
            changed = after(job, event(kind), 5)
        except BadEvent:
            continue
        assert not is_end(job.state)
        job = changed
    assert is_end(job.state) == (job.state in EXIT_CODES)


def test_the_first_claim_wins() -> None:
    job = after(NEW, event(EventType.CLAIMED, "one"), 5)
    with pytest.raises(BadEvent, match="one has claimed the job already"):
        after(job, event(EventType.CLAIMED, "two"), 5)
    with pytest.raises(BadEvent, match="not from one"):
        after(job, event(EventType.COMPLETED, "two"), 5)
    assert after(job, event(EventType.COMPLETED, "one"), 5).state is JobState.COMPLETED


def test_who_reports_without_a_claim_has_claimed_the_job() -> None:
    job = after(NEW, event(EventType.STARTED, "one"), 5)
    assert (job.state, job.worker) == (JobState.STARTED, "one")
    with pytest.raises(BadEvent, match="one has claimed"):
        after(job, event(EventType.CLAIMED, "two"), 5)


def test_progress_is_kept_until_there_is_other() -> None:
    job = after(NEW, event(EventType.PROGRESS, body='{"percent":40,"message":"half"}'), 5)
    job = after(job, event(EventType.PROGRESS, body='{"percent":400,"message":7}'), 6)
    assert (job.percent, job.message, job.updated) == (40, "half", 6)


def test_a_worker_that_reports_is_not_lost_any_more() -> None:
    job = after(NEW, event(EventType.CLAIMED), 5)
    lost = after(job, event(EventType.LOST, "hub", '{"message":"its pane is gone"}'), 6)
    assert (lost.lost, lost.worker, lost.state) == ("its pane is gone", "w", JobState.CLAIMED)
    assert after(lost, event(EventType.PROGRESS), 7).lost == ""


def test_what_the_home_says_makes_nobody_the_worker() -> None:
    for kind in OF_THE_HOME - {EventType.REGISTERED, EventType.LOST}:
        assert after(NEW, event(kind, "hub"), 5).worker == ""


def test_the_brief_says_how_to_claim_and_report() -> None:
    text = brief_text(NEW)
    assert "do it" in text
    assert f"agentmesh job claim {ID}" in text
    assert f"agentmesh job event {ID} started" in text


@pytest.mark.parametrize(
    ("body", "origin", "counts"),
    [
        ('{"pane":["hub-dev-rev","hub-dev-rev.0"]}', HERE, True),
        ('{"pane":["hub-dev-rev"]}', Origin("hub", "claimed"), True),
        ('{"pane":["hub-dev-rev"]}', Origin("hub", "mqtt"), False),
        ('{"pane":["hub-dev-rev"]}', Origin("worker-1", "pinned"), False),
        ('{"pane":["hub-dev-other"]}', HERE, False),
        ('{"pane":"hub-dev-rev"}', HERE, False),
        ("{}", HERE, False),
    ],
)
def test_a_personal_job_hears_the_pane_that_it_is_for_by_the_word_of_its_host_alone(
    body: str, origin: Origin, *, counts: bool
) -> None:
    job = Job(
        id=ID,
        home="hub",
        submitter="me",
        to="hub-dev-rev",
        hosts=("hub",),
        title="",
        brief="",
        created=1,
        is_personal=True,
    )
    assert is_from_its_pane(job, event(EventType.COMPLETED, "hub-dev-rev", body), origin) == counts
