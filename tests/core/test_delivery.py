"""The life of a message: every state, every event."""

from itertools import product

import pytest

from agentmesh.core.delivery import EXIT_CODES, TRANSITIONS, Event, IllegalEvent, State, is_end, step

ENDS = [state for state in State if is_end(state)]
SUCCESSES = {State.SUBMITTED, State.DISPLAYED}


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_event_is_in_the_table_or_raises(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert step(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalEvent, match=f"{event} in state {state}"):
            step(state, event)


def test_nothing_leads_out_of_an_end_and_something_out_of_all_else() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State) - set(ENDS)


def test_every_state_is_reached_from_the_first() -> None:
    reached, waiting = {State.ACCEPTED}, [State.ACCEPTED]
    while waiting:
        current = waiting.pop()
        following = {after for (before, _), after in TRANSITIONS.items() if before is current} - reached
        reached |= following
        waiting += following
    assert reached == set(State)


def test_success_is_exit_code_0_and_nothing_else_is() -> None:
    assert {state for state, code in EXIT_CODES.items() if code == 0} == SUCCESSES
    assert {state: EXIT_CODES[state] for state in set(ENDS) - SUCCESSES} == {
        State.REFUSED: 3,
        State.UNREACHABLE: 4,
        State.FAILED: 4,
        State.EXPIRED: 5,
        State.WITHDRAWN: 5,
        State.DENIED: 6,
        State.UNCERTAIN: 7,
    }


def test_only_what_is_certainly_not_in_the_pane_is_ever_typed_again() -> None:
    begun = {State.PASTING, State.PASTED}
    assert {event for (before, event), after in TRANSITIONS.items() if before in begun and after not in ENDS} == {
        Event.SEE,
        Event.RETURN,
    }
    assert [before for (before, _), after in TRANSITIONS.items() if after is State.PASTING] == [State.STORED]


def test_success_is_reached_only_through_the_journal() -> None:
    before = {before for (before, _), after in TRANSITIONS.items() if after in SUCCESSES}
    assert before == {State.PASTING, State.PASTED}
