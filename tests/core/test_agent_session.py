"""The life of a session: its table, and where its record differs from what is there."""

from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.address import Address
from agentmesh.core.agent_session import (
    TRANSITIONS,
    AgentSession,
    Status,
    Step,
    Termination,
    after,
    is_resumable,
    lifecycle,
)
from agentmesh.core.conversation import Conversation, own_conversation
from agentmesh.core.drift import RECENT_SECONDS, Drift, DriftClass, Found, drifts
from agentmesh.core.model import Pane
from agentmesh.errors import SessionState

NOW = 1000


def a_session(**facts: object) -> AgentSession:
    values = {
        "name": "worker",
        "host": "hub",
        "program": "claude",
        "cwd": "/work",
        "argv": ["/bin/claude", "id-1"],
        "signature": "",
        "server": "default",
        "tmux_session": "worker",
        "window": "claude",
        "pane": "%1",
        "pid": 7,
        "started": "then",
        "created": 1,
        "begun": 1,
        "acted": 1,
        "updated": 1,
    }
    return msgspec.convert(values | facts, AgentSession)


def a_pane(identifier: str, session: str = "dev") -> Pane:
    return Pane(
        address=Address(f"hub-{session}-x"),
        host="hub",
        target=f"{session}:1",
        session=session,
        window="x",
        pane=identifier,
        server="default",
        window_key="",
        wanted=Address(f"hub-{session}-x"),
        pid=9,
        program="codex",
    )


HERE = Found(panes={("default", "%1")}, alive={7: "then"})
GONE = Found(panes=set(), alive={7: ""})


def test_every_status_and_step_is_a_transition_or_an_error() -> None:
    for status, step in product(Status, Step):
        session = a_session(status=status)
        if (status, step) in TRANSITIONS:
            assert after(session, step, NOW).status is TRANSITIONS[status, step]
        else:
            with pytest.raises(SessionState):
                after(session, step, NOW)
    assert {status for status in Status if is_resumable(a_session(status=status))} == {
        Status.STOPPED,
        Status.TERMINATED,
    }


def test_a_report_counts_until_the_session_is_brought_back() -> None:
    session = a_session()
    assert lifecycle(session) == "working"
    session = msgspec.structs.replace(session, reported=NOW)
    assert lifecycle(session) == "ready-to-close"
    closed = after(session, Step.STOP, NOW)
    assert lifecycle(closed) == "closed"
    assert lifecycle(after(session, Step.END, NOW)) == "terminated"
    assert lifecycle(after(a_session(), Step.STOP, NOW)) == "stopped"
    assert lifecycle(after(msgspec.structs.replace(closed, purged="id-1"), Step.RESUME, NOW)) == "working"
    assert after(msgspec.structs.replace(closed, purged="id-1"), Step.RESUME, NOW).purged == ""


def test_archiving_sees_nothing_new() -> None:
    session = after(after(a_session(), Step.END, NOW), Step.ARCHIVE, NOW + 1)
    assert (session.status, session.last_visible_status, session.acted) == (Status.ARCHIVED, Status.TERMINATED, NOW + 1)


@pytest.mark.parametrize(
    ("session", "found", "expected"),
    [
        (a_session(), HERE, []),
        (a_session(), GONE, ["A"]),
        (a_session(), Found(panes={("default", "%1")}, alive={7: "later"}), ["A"]),
        (a_session(), Found(panes=set(), alive={7: "then"}), ["A"]),
        (a_session(), Found(panes=set(), alive={7: "then"}, unasked={"default"}), []),
        (a_session(acted=NOW - RECENT_SECONDS + 1), GONE, []),
        (a_session(status="stopped"), GONE, []),
        (a_session(), msgspec.structs.replace(HERE, appeared={"worker": "id-1"}), ["C"]),
        (a_session(conversation="id-1"), msgspec.structs.replace(HERE, appeared={"worker": "id-2"}), []),
        (a_session(conversation="id-1"), msgspec.structs.replace(HERE, lost={"worker"}), ["D"]),
        (a_session(conversation="id-1", missed="id-1"), msgspec.structs.replace(HERE, lost={"worker"}), []),
        (a_session(conversation="id-1", status="archived"), msgspec.structs.replace(GONE, lost={"worker"}), []),
        (a_session(), msgspec.structs.replace(HERE, programs=[a_pane("%1")]), []),
        (a_session(), msgspec.structs.replace(HERE, programs=[a_pane("%2"), a_pane("%2")]), ["B"]),
    ],
)
def test_records_differ_from_what_is_there(session: AgentSession, found: Found, expected: list[str]) -> None:
    assert [drift.drift_class for drift in drifts([session], found, NOW)] == expected


def test_a_pane_s_session_gets_a_name_of_its_own() -> None:
    found = msgspec.structs.replace(
        HERE, programs=[a_pane("%2", "worker"), a_pane("%3", "worker"), a_pane("%4", "ü.b")]
    )
    assert [drift.session for drift in drifts([a_session()], found, NOW)] == ["worker-2", "worker-3", "b"]


SESSIONS = st.lists(
    st.builds(
        a_session,
        name=st.sampled_from("abc"),
        status=st.sampled_from([each.value for each in Status]),
        acted=st.integers(NOW - 8, NOW),
        conversation=st.sampled_from(["", "id-1"]),
    ),
    unique_by=lambda session: session.name,
    max_size=3,
)
FOUND = st.builds(
    Found,
    panes=st.sampled_from([set(), {("default", "%1")}]),
    alive=st.sampled_from([{}, {7: "then"}]),
    unasked=st.sampled_from([set(), {"default"}]),
    appeared=st.dictionaries(st.sampled_from("abc"), st.just("id-2")),
    lost=st.sets(st.sampled_from("abc")),
)


@given(SESSIONS, FOUND)
def test_what_is_put_right_differs_no_more_and_what_a_person_decided_stands(
    sessions: list[AgentSession], found: Found
) -> None:
    told = drifts(sessions, found, NOW)
    right = {session.name: session for session in sessions}
    for drift in told:
        assert drift.before == right[drift.session]
        right[drift.session] = msgspec.structs.replace(drift.before, **drift.changes)
    assert drifts(list(right.values()), found, NOW) == []
    for session in sessions:
        if session.status is not Status.RUNNING or NOW - session.acted < RECENT_SECONDS:
            assert right[session.name].status is session.status
        if session.conversation:
            assert right[session.name].conversation == session.conversation


def test_what_ended_unseen_says_so() -> None:
    (drift,) = drifts([a_session()], GONE, NOW)
    assert drift.changes["termination_mode"] is Termination.AUTO_DETECTED
    assert drift.difference["status"] == ["running", "terminated"]
    assert msgspec.json.decode(msgspec.json.encode(drift), type=Drift).drift_class is DriftClass.GONE


def test_what_ends_after_its_stop_was_cut_off_is_stopped() -> None:
    (drift,) = drifts([a_session(stopping=True, acted=3)], GONE, NOW)
    assert drift.after is not None
    assert (drift.after.status, drift.after.stopping, drift.after.acted) == (Status.STOPPED, False, 3)
    assert drift.action == "stopped"


def test_a_conversation_is_a_session_s_own_by_its_command_line_or_by_what_it_has_open() -> None:
    mine, held, other = (Conversation(f"id-{n}", "/work", f"/c/{n}") for n in (1, 2, 3))
    elsewhere = Conversation("id-1", "/home", "/c/4")
    taken = [a_session(name="two", conversation="id-2")]
    assert own_conversation(a_session(), [other, held, mine], {"/c/2"}, []) == "id-1"
    assert own_conversation(a_session(argv=["codex"]), [other, held, mine], {"/c/2"}, []) == "id-2"
    assert own_conversation(a_session(argv=["codex"]), [other, held, mine], {"/c/2"}, taken) == ""
    assert own_conversation(a_session(), [other, elsewhere], set(), []) == ""


@pytest.mark.parametrize(
    ("word", "identifier", "expected"),
    [
        ("--resume=7-f", "7-f", "7-f"),
        ("DB=mine.7-f.db", "7-f", "7-f"),
        ("--chat-history-file", "history", ""),
        ("7-f0", "7-f", ""),
        ("7-f", "7.f", ""),
    ],
)
def test_an_id_within_a_longer_name_is_not_in_the_command_line(word: str, identifier: str, expected: str) -> None:
    found = [Conversation(identifier, "/work", "/c/1")]
    assert own_conversation(a_session(argv=["mine", word]), found, set(), []) == expected


@pytest.mark.parametrize(
    ("begun", "others", "expected"),
    [
        ([21.5], [], "id-0"),
        ([21.5], [(30, 40), (10, 19), (22, 0)], ""),
        ([21.5], [(30, 40), (10, 19), (26, 0)], "id-0"),
        ([21.5], [(24, 40)], ""),
        ([21.5, 24.9], [], ""),
        ([19.9, 26.0], [], ""),
        ([0.0], [], ""),
    ],
)
def test_the_only_conversation_that_was_begun_while_a_program_started_alone_is_its_own(
    begun: list[float], others: list[tuple[int, int]], expected: str
) -> None:
    session = a_session(argv=["codex"], begun=20, ready=25)
    found = [Conversation(f"id-{number}", "/work", f"/c/{number}", moment) for number, moment in enumerate(begun)]
    beside = [a_session(name=f"n{start}", begun=start, ready=end) for start, end in others]
    assert own_conversation(session, found, set(), [session, *beside]) == expected
