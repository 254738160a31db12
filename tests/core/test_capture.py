"""A pane's sight as a recording, and back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.capture import FACTS, PLAIN, SCREEN, recorded_facts, recorded_tty, recording
from agentmesh.core.readiness import TtyFacts
from tests.core.examples import a_tty
from tests.screens import recordings

booleans = st.booleans()
ttys = st.builds(
    TtyFacts,
    canonical=booleans,
    echo=booleans,
    unread=st.integers(0, 4096),
    programs=st.lists(st.text("abc-.1", min_size=1), max_size=3).map(tuple),
    shell_in_front=booleans,
    alone=booleans,
    reading=booleans,
)


@pytest.mark.parametrize("name", recordings.names())
def test_what_was_seen_is_read_back(name: str) -> None:
    facts = recordings.load(name)
    files = recording(facts, None)
    assert recorded_facts(files[SCREEN], files[FACTS]) == facts
    assert "\x1b" not in files[PLAIN]
    assert recorded_tty(files[FACTS]) is None


@given(ttys)
def test_what_the_kernel_said_is_read_back(tty: TtyFacts) -> None:
    assert recorded_tty(recording(recordings.load("cat-idle"), tty)[FACTS]) == tty


def test_history_is_left_out() -> None:
    facts = recordings.load("cat-idle")
    longer = msgspec.structs.replace(facts, rows=("older", *facts.rows), history=1)
    assert recording(longer, None) == recording(facts, None)


def test_what_is_no_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="no facts"):
        recorded_facts("x\n", "y\n")
    assert recorded_tty(recording(recordings.load("cat-idle"), a_tty())[SCREEN]) is None
