"""What becomes of a message whose delivery a crash has cut off: found by looking, and never typed a second time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentmesh.adapters import tty
from agentmesh.core.delivery import Event, State
from agentmesh.core.model import Pane
from agentmesh.core.readiness import Readiness
from tests.mesh.desk import Desk, begun, text_of
from tests.tmux import RealTmux

pytestmark = pytest.mark.tmux

BEGUN = [State.PASTING, State.PASTED]
TEXT = text_of("hello")
BOX, LINE, SHELL = Readiness.EMPTY_BOX, Readiness.READS_LINES, Readiness.SHELL


@pytest.fixture
def desk(tmux: RealTmux, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmux, tmp_path)
    yield desk
    desk.server.close()


async def a_cat(desk: Desk) -> Pane:
    pane = desk.open("cat", "cat")
    await desk.until_seen(pane, LINE)
    return pane


def paste(desk: Desk, pane: Pane, text: str) -> None:
    """Put a text into a pane as the agent did before it was killed."""
    desk.tmux.run("set-buffer", text)
    desk.tmux.run("paste-buffer", "-p", "-t", pane.pane)


@pytest.mark.parametrize("state", BEGUN)
async def test_a_text_that_waits_alone_in_its_box_is_submitted(desk: Desk, state: State) -> None:
    pane = desk.open_claude()
    paste(desk, pane, TEXT)
    await desk.until_seen(pane, Readiness.DRAFT)
    receipt = await desk.deliver(pane, receipt=begun(state, BOX))
    assert (receipt.state, desk.submitted()) == (State.SUBMITTED, [TEXT])
    assert Event.PASTE not in desk.events


@pytest.mark.parametrize("state", BEGUN)
async def test_a_text_that_waits_alone_on_its_line_is_submitted(desk: Desk, state: State) -> None:
    pane = await a_cat(desk)
    paste(desk, pane, TEXT)
    await desk.until_shown(pane, TEXT)
    assert (await desk.deliver(pane, receipt=begun(state, LINE))).state is State.SUBMITTED
    await desk.until_shown(pane, f"{TEXT}\n{TEXT}")
    assert desk.screen(pane).count(TEXT) == 2


@pytest.mark.parametrize("state", BEGUN)
async def test_a_text_in_the_conversation_was_taken(desk: Desk, state: State) -> None:
    pane = desk.open_claude()
    paste(desk, pane, TEXT)
    await desk.until_seen(pane, Readiness.DRAFT)
    desk.tmux.run("send-keys", "-t", pane.pane, "Enter")
    await desk.until_seen(pane, BOX)
    assert (await desk.deliver(pane, receipt=begun(state, BOX))).state is State.SUBMITTED
    assert desk.submitted() == [TEXT]


async def test_the_same_text_twice_proves_nothing(desk: Desk) -> None:
    pane = desk.open_claude()
    for _ in range(2):
        paste(desk, pane, TEXT)
        await desk.until_seen(pane, Readiness.DRAFT)
        desk.tmux.run("send-keys", "-t", pane.pane, "Enter")
        await desk.until_seen(pane, BOX)
    assert (await desk.deliver(pane, receipt=begun(State.PASTED, BOX))).state is State.UNCERTAIN
    assert desk.submitted() == [TEXT, TEXT]


async def test_a_text_that_never_reached_its_box_is_pasted(desk: Desk) -> None:
    pane = desk.open_claude()
    receipt = await desk.deliver(pane, receipt=begun(State.PASTING, BOX))
    assert (receipt.state, desk.submitted()) == (State.SUBMITTED, [TEXT])
    assert desk.events == [Event.RETURN, Event.PASTE, Event.SEE, Event.TAKE]


async def test_a_text_that_never_reached_its_line_is_pasted(desk: Desk) -> None:
    pane = desk.open("prompt", "bash", "-c", "read -r -p 'path: ' x; echo got it; exec cat")
    await desk.until_shown(pane, "path:")
    await desk.until_seen(pane, LINE)
    assert (await desk.deliver(pane, receipt=begun(State.PASTING, LINE))).state is State.SUBMITTED
    await desk.until_shown(pane, "got it")


async def test_a_text_that_was_seen_and_is_gone_is_not_typed_again(desk: Desk) -> None:
    pane = desk.open_claude()
    assert (await desk.deliver(pane, receipt=begun(State.PASTED, BOX))).state is State.UNCERTAIN
    assert (desk.submitted(), desk.events) == ([], [Event.LOSE])


async def test_a_text_among_other_text_is_not_submitted(desk: Desk) -> None:
    pane = desk.open_claude()
    paste(desk, pane, f"mine {TEXT}")
    await desk.until_seen(pane, Readiness.DRAFT)
    assert (await desk.deliver(pane, receipt=begun(State.PASTED, BOX))).state is State.UNCERTAIN
    assert desk.submitted() == []


async def test_a_line_that_output_pushed_away_was_not_submitted_for_certain(desk: Desk) -> None:
    pane = desk.open("pushed", "cat")
    paste(desk, pane, TEXT)
    await desk.until_shown(pane, TEXT)
    tty.write(desk.tmux.ask(pane.pane, "#{pane_tty}"), "\noutput\n")
    await desk.until_shown(pane, "output")
    assert (await desk.deliver(pane, receipt=begun(State.PASTING, LINE))).state is State.UNCERTAIN


async def test_a_message_of_a_time_that_is_not_known_is_not_typed_again(desk: Desk) -> None:
    receipt = begun(State.PASTING, BOX, when=0)
    assert (await desk.deliver(desk.open_claude(), receipt=receipt)).state is State.UNCERTAIN


async def test_a_message_to_another_process_than_before_is_not_typed_again(desk: Desk) -> None:
    pane = await a_cat(desk)
    desk.tmux.run("respawn-pane", "-k", "-t", pane.pane, "cat")
    receipt = await desk.deliver(pane, receipt=begun(State.PASTING, LINE))
    assert receipt.state is State.UNCERTAIN
    assert "another process" in receipt.detail


async def test_a_pane_that_is_gone_tells_nothing_of_what_was_typed(desk: Desk) -> None:
    pane = await a_cat(desk)
    desk.tmux.run("kill-pane", "-t", pane.pane)
    assert (await desk.deliver(pane, receipt=begun(State.PASTED, LINE))).state is State.UNCERTAIN


async def test_a_display_that_is_on_the_screen_is_not_shown_again(desk: Desk) -> None:
    pane = desk.open("shell", "bash", "--norc")
    await desk.until_seen(pane, SHELL)
    tty.write(desk.tmux.ask(pane.pane, "#{pane_tty}"), f"\r{TEXT}\n")
    await desk.until_shown(pane, TEXT)
    assert (await desk.deliver(pane, receipt=begun(State.PASTING, SHELL))).state is State.DISPLAYED
    assert desk.screen(pane).count(TEXT) == 1


async def test_a_display_that_did_not_appear_is_shown(desk: Desk) -> None:
    pane = desk.open("shell", "bash", "--norc")
    await desk.until_seen(pane, SHELL)
    assert (await desk.deliver(pane, receipt=begun(State.PASTING, SHELL))).state is State.DISPLAYED
    assert desk.screen(pane).count(TEXT) == 1


async def test_an_ended_message_is_left_alone(desk: Desk) -> None:
    pane = await a_cat(desk)
    ended = begun(State.SUBMITTED, LINE)
    assert await desk.deliver(pane, receipt=ended) == ended
    assert desk.screen(pane) == ""
