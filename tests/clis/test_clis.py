"""Messages to real agent CLIs: what the model server was told is what arrived."""

import re
import sys
from statistics import median, quantiles

import pytest

from tests.clis.conftest import Open
from tests.clis.correspondent import Correspondent
from tests.clis.model_server import MARK
from tests.clis.recipes import LOGIN, NOBODY, STRANGE, TRUST, WORK, Recipe
from tests.clis.stage import Stage

pytestmark = [pytest.mark.clis, pytest.mark.timeout(1800)]

LINE = "The quick brown fox jumps over the lazy dog. "


@pytest.mark.parametrize(
    "text",
    [
        "a plain message TOKEN",
        "ünïcödé, 漢字 and 🚀👩‍🚀 TOKEN, é as two",
        "two lines TOKEN\nthe second",
        "five TOKEN\n\n    of which one is empty\n\tand one has a tab\nlast",
        f"TOKEN {LINE * 45}",
        f"TOKEN {LINE * 225}",
        "TOKEN\n" + f"{LINE}\n" * 225,
        "/help TOKEN",
        "! touch tool-was-run TOKEN",
        "@TOKEN",
        "see TOKEN and @notes.md",
        "# TOKEN",
        "-TOKEN",
        "--help TOKEN",
        "TOKEN; exit;",
        "'TOKEN' \"$(exit)\" `exit` \\",
    ],
    ids=lambda text: text[:18].split("\n")[0] + f"…{len(text)}",
)
def test_a_message_arrives_once_and_whole_as_one_turn(idle: Correspondent, text: str) -> None:
    idle.deliver(text)
    assert not idle.stage.outside(f"{WORK}/{MARK}").exists()


def pace(stage: Stage, count: int) -> str:
    """Return what took the time of the last messages, by the agent's log."""
    found = re.findall(r"text taken .*drawn_ms=(\d+) settled_ms=(\d+) taken_ms=(\d+)", stage.logs())[-count:]
    drawn, settled, taken = (median(map(int, column)) for column in zip(*found, strict=True))
    return f"{drawn:.0f} ms until it drew the text, {settled:.0f} ms to settle, {taken:.0f} ms until it took it"


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.every_cli)])
def test_messages_in_a_row_all_arrive(idle: Correspondent, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    idle.refusals.clear()
    sent = [idle.send_when_ready(f"message {number} of {count} TOKEN") for number in range(count)]
    if not idle.is_described:
        assert all(one.is_refused for one in sent)
        return
    idle.deliver("the last TOKEN")
    exact = sum(idle.arrivals(one) == 1 for one in sent)
    proved = sum(one.code == 0 for one in sent)
    spread = quantiles([one.seconds for one in sent], n=100)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{idle.recipe.name}: {exact} of {count} exact, {proved} of them proved, p50 {spread[49] * 1000:.0f} ms,"
            f" p99 {spread[98] * 1000:.0f} ms, refused on the way: {dict(idle.refusals)}\n"
            f"  of which, at the median, {pace(idle.stage, count)}\n"
        )
    assert exact == count
    assert {one.code for one in sent} <= {0, 7}


def test_a_busy_program_gets_a_message_whole_or_not_at_all(opened: Open) -> None:
    program = opened()
    program.stage.hurry(now=False)
    program.submit("please-be-slow")
    program.shows("Thinking")
    sent = program.send("while it works TOKEN")
    program.stage.hurry(now=True)
    program.steady()
    if sent.is_refused:
        program.deliver("afterwards TOKEN")
        assert not program.is_known(sent)
    else:
        assert sent.code == 0, sent
        program.deliver("afterwards TOKEN")
        assert program.mentions(sent) == 1


@pytest.mark.parametrize("draft", ["half a line", "line one\nline two"])
def test_a_draft_is_left_alone(opened: Open, draft: str) -> None:
    program = opened()
    program.paste(draft)
    program.is_turned_away("TOKEN")


def test_a_permission_dialog_is_left_to_a_person(opened: Open) -> None:
    program = opened()
    program.submit("please-run-a-tool")
    program.shows(program.recipe.asks)
    program.is_turned_away("1 y TOKEN")
    program.is_turned_away("1 y TOKEN", "--force")
    assert not program.stage.outside(f"{WORK}/{MARK}").exists()


@pytest.mark.shows("trust")
def test_a_strange_folder_s_dialog_is_left_to_a_person(opened: Open) -> None:
    opened(folder=STRANGE, first=TRUST).is_turned_away("1 y TOKEN")


@pytest.mark.shows("login")
def test_a_login_is_left_to_a_person(opened: Open) -> None:
    opened(home=NOBODY, first=LOGIN).is_turned_away("1 y TOKEN")


def test_a_reader_of_the_history_is_left_alone(opened: Open) -> None:
    program = opened()
    program.stage.tmux("copy-mode", "-t", program.pane)
    program.is_turned_away("TOKEN")
    assert program.stage.tmux("display-message", "-p", "-t", program.pane, "#{pane_mode}") == "copy-mode"
    program.stage.tmux("copy-mode", "-q", "-t", program.pane)
    program.deliver("now TOKEN")


def test_a_narrow_pane_takes_a_message(opened: Open) -> None:
    program = opened(size=(40, 30))
    program.deliver(f"in a narrow pane TOKEN {LINE * 3}")
    program.deliver("once more TOKEN")


def test_a_program_under_a_shell_takes_a_message(stage: Stage, recipe: Recipe) -> None:
    pane = stage.open_session("shell", "exec bash --norc")
    program = Correspondent(stage, recipe, pane)
    program.paste(f"clear; {stage.command_line(recipe)}")
    program.press("Enter")
    program.shows(recipe.idle)
    program.steady()
    program.deliver("below a shell TOKEN")
    stage.tmux("kill-pane", "-t", pane)
