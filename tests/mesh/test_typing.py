"""What the typist does with programs that won't do as they should: submitted exactly once, or honestly not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agentmesh.core.delivery import Event, State
from agentmesh.core.readiness import Readiness
from tests.adapters.terminals import terminal
from tests.eventually import eventually
from tests.mesh.desk import CLAUDE, PROFILES, Desk, text_of
from tests.tmux import RealTmux

pytestmark = pytest.mark.tmux

SUBMITTED = [Event.PASTE, Event.SEE, Event.TAKE]
LOST = [Event.PASTE, Event.LOSE]

UNKNOWN = r"""
system("stty raw -echo"); $| = 1; print "\e[?1049hsay: ";
while (sysread(STDIN, $keys, 4096)) { print $keys =~ /\r/ ? "\r\ntaken: " : $keys }
"""


@pytest.fixture
def desk(tmux: RealTmux, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmux, tmp_path)
    yield desk
    desk.server.close()


@pytest.mark.parametrize(
    ("mode", "body"),
    [
        ("plain", "hello"),
        ("plain", "a line that ends with a backslash\\"),
        ("swallow", "hello"),
        ("redraw", "hello"),
        ("slow", "hello " * 20),
        ("plain", "wraps " * 60),
        ("menu", "see @src"),
        ("menu", "a path /usr"),
        ("menu", "mail me@example"),
        ("menu", "the last\n/word"),
        ("ghost", "hello"),
        ("busy", "hello"),
        ("fold", "two\nlines"),
    ],
)
async def test_a_program_takes_a_text_once_and_whole(desk: Desk, mode: str, body: str) -> None:
    pane = desk.open_claude(mode)
    receipt = await desk.deliver(pane, body.strip())
    assert receipt.state is State.SUBMITTED, (receipt.detail, desk.screen(pane))
    assert [text.rstrip() for text in desk.submitted()] == [text_of(body.strip())]
    assert desk.events == SUBMITTED


@pytest.mark.parametrize(
    ("mode", "events"),
    [
        ("cut", LOST),
        ("vim", LOST),
        ("dialog", LOST),
        ("crash", LOST),
        ("crash-late", [Event.PASTE, Event.SEE, Event.LOSE]),
        ("deaf", [Event.PASTE, Event.SEE, Event.LOSE]),
    ],
)
async def test_a_text_that_was_not_seen_to_be_taken_is_uncertain(desk: Desk, mode: str, events: list[Event]) -> None:
    receipt = await desk.deliver(desk.open_claude(mode))
    assert receipt.state is State.UNCERTAIN
    assert receipt.detail
    assert (desk.submitted(), desk.events) == ([], events)


async def test_a_dialog_that_comes_up_between_the_last_look_and_enter_is_not_approved(desk: Desk) -> None:
    pane = desk.open_claude()
    desk.meanwhile[Event.SEE] = lambda: desk.press(pane, "C-g", shows="Do you want to proceed?")
    assert (await desk.deliver(pane)).state is State.UNCERTAIN
    assert desk.submitted() == []


async def test_a_person_who_types_between_the_last_look_and_enter_submits_it_alone(desk: Desk) -> None:
    pane = desk.open_claude()
    desk.meanwhile[Event.SEE] = lambda: desk.press(pane, " and mine", shows="and mine")
    receipt = await desk.deliver(pane)
    assert receipt.state is State.UNCERTAIN
    assert "among other text" in receipt.detail
    assert desk.submitted() == []


async def test_a_person_who_types_between_the_last_look_and_the_paste_has_the_box_alone(desk: Desk) -> None:
    pane = desk.open_claude()
    desk.meanwhile[Event.PASTE] = lambda: desk.press(pane, "mine", shows="mine")
    receipt = await desk.deliver(pane)
    assert (receipt.state, receipt.readiness) == (State.REFUSED, Readiness.DRAFT)
    assert desk.events == [Event.PASTE, Event.RETURN, Event.REFUSE]
    assert "from hub" not in desk.screen(pane)


async def test_a_line_of_two_hands_is_not_submitted(desk: Desk) -> None:
    pane = desk.open("cat", "cat")
    await desk.until_seen(pane, Readiness.READS_LINES)
    desk.meanwhile[Event.SEE] = lambda: desk.press(pane, " and mine", shows="and mine")
    assert (await desk.deliver(pane)).state is State.UNCERTAIN
    assert desk.screen(pane) == f"{text_of('hello')} and mine"


async def test_a_person_who_types_a_line_between_look_and_paste_has_it_alone(desk: Desk) -> None:
    pane = desk.open("cat", "cat")
    await desk.until_seen(pane, Readiness.READS_LINES)
    desk.meanwhile[Event.PASTE] = lambda: desk.press(pane, "mine", shows="mine")
    assert (await desk.deliver(pane)).state is State.REFUSED
    assert desk.screen(pane) == "mine"


async def test_a_program_that_crashed_leaves_no_enter_to_the_next(desk: Desk) -> None:
    command = f"{sys.executable} {CLAUDE} {desk.folder}/log crash; read -r x; echo got it; exec cat"
    pane = desk.open("claude", "sh", "-c", command)
    await desk.until_seen(pane, Readiness.EMPTY_BOX)
    assert (await desk.deliver(pane)).state is State.UNCERTAIN
    await desk.until_seen(pane, Readiness.READS_LINES)
    assert "got it" not in desk.screen(pane)


async def test_what_a_person_typed_before_ours_is_all_that_is_left(desk: Desk) -> None:
    pane = desk.open_claude("before")
    receipt = await desk.deliver(pane, "hello\nworld")
    assert (receipt.state, receipt.readiness) == (State.REFUSED, Readiness.DRAFT)
    assert desk.events == [Event.PASTE, Event.RETURN, Event.REFUSE]
    assert "❯\u00a0my own words\n" in desk.screen(pane).replace(" \n", "\n")
    assert desk.submitted() == []


async def test_a_message_that_may_wait_is_taken_back_and_stays_stored(desk: Desk) -> None:
    receipt = await desk.deliver(desk.open_claude("before"), expires=4102444800)
    assert (receipt.state, receipt.readiness) == (State.STORED, Readiness.DRAFT)
    assert desk.events == [Event.PASTE, Event.RETURN]


@pytest.mark.parametrize(("mode", "body"), [("after", "hello"), ("before", "a fox 🦊")])
async def test_mixed_text_that_can_not_be_parted_exactly_is_left_and_uncertain(
    desk: Desk, mode: str, body: str
) -> None:
    pane = desk.open_claude(mode)
    receipt = await desk.deliver(pane, body)
    assert receipt.state is State.UNCERTAIN
    assert "among other text" in receipt.detail
    assert (desk.submitted(), desk.events) == ([], LOST)
    assert "my own words" in desk.screen(pane)


async def test_a_pane_that_is_not_ready_lets_a_message_wait_with_what_was_seen(desk: Desk) -> None:
    pane = desk.open_claude()
    desk.press(pane, "my own words", shows="my own words")
    await desk.until_seen(pane, Readiness.DRAFT)
    receipt = await desk.deliver(pane, expires=4102444800)
    assert (receipt.state, receipt.readiness) == (State.STORED, Readiness.DRAFT)
    assert receipt.detail
    assert any("my own words" in line for line in receipt.screen)
    assert desk.events == []


# A person at the keyboard.


async def test_a_text_is_taken_back_when_a_person_comes_before_enter(desk: Desk) -> None:
    pane = desk.open_claude("slow")
    desk.tmux.run("select-window", "-t", pane.pane)
    environment = desk.tmux.environment
    with terminal("tmux", "attach", "-t", "dev", home=desk.tmux.home, environment=environment) as client:
        eventually(lambda: b"shortcuts" in client.show(), "the client shows the pane", client.show)
        await desk.until_seen(pane, Readiness.TYPING)
        assert (await desk.deliver(pane)).readiness == Readiness.TYPING
        assert desk.events == [Event.REFUSE]
        desk.events.clear()
        await desk.until_seen(pane, Readiness.EMPTY_BOX)
        before = desk.tmux.run("list-clients", "-F", "#{client_activity}")

        def comes() -> None:
            client.type("\x0c")
            activity = ("list-clients", "-F", "#{client_activity}")
            eventually(lambda: desk.tmux.run(*activity) != before, "tmux knows of the key")

        desk.meanwhile[Event.PASTE] = comes
        receipt = await desk.deliver(pane)
    assert (receipt.state, receipt.readiness) == (State.REFUSED, Readiness.TYPING)
    assert desk.events == [Event.PASTE, Event.RETURN, Event.REFUSE]
    assert "from hub" not in desk.screen(pane)
    assert desk.submitted() == []


# Panels.


PANELS = [("panel", True, State.SUBMITTED), ("panel", False, State.REFUSED)]


@pytest.mark.parametrize(("mode", "dismiss", "end"), PANELS)
async def test_a_harmless_panel_is_closed_if_it_may_be(
    tmux: RealTmux, tmp_path: Path, mode: str, *, dismiss: bool, end: State
) -> None:
    claude = PROFILES["claude"]
    assert claude.box
    known = msgspec.structs.replace(claude, box=msgspec.structs.replace(claude.box, panels=(" Settings",)))
    desk = Desk(tmux, tmp_path, {**PROFILES, "claude": known})
    pane = desk.open_claude(mode, sign="Settings")
    receipt = await desk.deliver(pane, dismiss=dismiss)
    desk.server.close()
    assert receipt.state is end
    assert ("Settings" in desk.screen(pane)) is not dismiss


# Force.


async def test_force_puts_a_draft_aside_and_the_program_brings_it_back(desk: Desk) -> None:
    pane = desk.open_claude()
    desk.press(pane, "my own words", shows="my own words")
    await desk.until_seen(pane, Readiness.DRAFT)
    receipt = await desk.deliver(pane, force=True)
    assert (receipt.state, desk.submitted()) == (State.SUBMITTED, [text_of("hello")])
    assert "put aside" in receipt.note
    await desk.until_shown(pane, "❯\u00a0my own words")


async def test_force_joins_a_draft_where_it_can_not_be_put_aside_and_says_so(tmux: RealTmux, tmp_path: Path) -> None:
    claude = PROFILES["claude"]
    assert claude.box
    without = msgspec.structs.replace(claude, box=msgspec.structs.replace(claude.box, put_aside=""))
    desk = Desk(tmux, tmp_path, {**PROFILES, "claude": without})
    pane = desk.open_claude()
    desk.press(pane, "my own words", shows="my own words")
    await desk.until_seen(pane, Readiness.DRAFT)
    receipt = await desk.deliver(pane, force=True)
    desk.server.close()
    assert (receipt.state, desk.submitted()) == (State.SUBMITTED, ["my own words" + text_of("hello")])
    assert "joined" in receipt.note


async def test_force_joins_half_a_line(desk: Desk) -> None:
    pane = desk.open("half", "cat")
    desk.tmux.run("send-keys", "-t", pane.pane, "half a line")
    await desk.until_seen(pane, Readiness.DRAFT)
    receipt = await desk.deliver(pane, force=True)
    assert receipt.state is State.SUBMITTED
    assert "joined" in receipt.note
    await desk.until_shown(pane, f"half a line{text_of('hello')}\nhalf a line{text_of('hello')}")


async def test_force_types_into_a_repl(desk: Desk) -> None:
    pane = desk.open("python", sys.executable, "-q")
    await desk.until_seen(pane, Readiness.REPL)
    desk.press(pane, "6 * 7", "Enter", shows="\n42")  # its first prompt stands before it reads
    await desk.until_seen(pane, Readiness.REPL)
    assert (await desk.deliver(pane, force=True)).state is State.SUBMITTED
    await desk.until_shown(pane, "SyntaxError")


async def test_force_never_presses_enter_where_the_text_does_not_appear(desk: Desk) -> None:
    pane = desk.open("less", "less", "/etc/services")
    await desk.until_seen(pane, Readiness.UNKNOWN)
    assert (await desk.deliver(pane, force=True)).state is State.UNCERTAIN
    assert desk.events == LOST


async def test_force_submits_in_a_full_screen_program_of_which_nothing_is_known(desk: Desk) -> None:
    pane = desk.open("unknown", "perl", "-e", UNKNOWN)
    await desk.until_shown(pane, "say:")
    await desk.until_seen(pane, Readiness.UNKNOWN)
    assert (await desk.deliver(pane)).state is State.REFUSED
    desk.events.clear()
    assert (await desk.deliver(pane, force=True)).state is State.SUBMITTED
    assert desk.events == SUBMITTED
    await desk.until_shown(pane, "taken:")
