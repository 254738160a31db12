"""A message at a shell's prompt: it stands above the prompt, which stays as it was and goes on working."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentmesh.core.delivery import Event, State
from agentmesh.core.model import Pane
from agentmesh.core.readiness import Readiness
from tests.eventually import eventually
from tests.mesh.desk import Desk, text_of
from tests.tmux import RealTmux

pytestmark = pytest.mark.tmux

SHELLS = {
    "bash": ["env", "PS1=here: \\W\n$ ", "bash", "--norc", "--noprofile"],
    "zsh": ["env", "PS1=here: %1~\n$ ", "zsh", "-f"],
    "fish": ["fish"],
}
FISH = 'function fish_prompt; printf "here: %s\\n\\$ " x; end; set fish_greeting\n'
LONG = "echo " + "abcdefghi " * 12 + "end"


@pytest.fixture
def desk(tmux: RealTmux, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmux, tmp_path)
    yield desk
    desk.server.close()


async def a_prompt(desk: Desk, shell: str) -> Pane:
    (desk.tmux.home / ".config" / "fish").mkdir(parents=True)
    (desk.tmux.home / ".config" / "fish" / "config.fish").write_text(FISH)
    pane = desk.open("shell", *SHELLS[shell])
    await desk.until_shown(pane, "here:")
    await desk.until_seen(pane, Readiness.SHELL)
    eventually(lambda: desk.screen(pane).endswith("\n$"), "the prompt is drawn", lambda: desk.screen(pane))
    return pane


def rows(desk: Desk, pane: Pane) -> list[str]:
    return [row.rstrip() for row in desk.screen(pane).splitlines()]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("typed", ["", "echo half", LONG], ids=["nothing", "half a line", "three rows"])
async def test_the_prompt_and_what_is_typed_stand_below_as_they_were(desk: Desk, shell: str, typed: str) -> None:
    pane = await a_prompt(desk, shell)
    desk.press(pane, "echo one", "Enter", shows="\none")
    eventually(lambda: desk.screen(pane).endswith("\n$"), "the prompt is drawn again", lambda: desk.screen(pane))
    if typed:
        desk.press(pane, typed, "Left", "Left", "Left", shows=typed[-8:])
        place = "#{cursor_x}"
        eventually(
            lambda: int(desk.tmux.ask(pane.pane, place)) == (len(typed) + 2 - 3) % 80, "the cursor is in the line"
        )
    before = rows(desk, pane)
    block = before[before.index("one") + 1 :]
    cursor = desk.tmux.ask(pane.pane, "#{cursor_x}")
    receipt = await desk.deliver(pane, "first\nsecond " + "wide " * 20)
    assert receipt.state is State.DISPLAYED
    assert desk.events == [Event.PASTE, Event.SHOW]
    after = rows(desk, pane)
    assert after[-len(block) :] == block
    assert after[: len(before) - len(block)] == before[: len(before) - len(block)]
    assert "".join(after[len(before) - len(block) : -len(block)]).startswith(text_of("first"))
    assert desk.tmux.ask(pane.pane, "#{cursor_x}") == cursor
    if typed:
        desk.press(pane, "X", "Enter", shows=f"\n{typed[5:-3][:70]}")
        answer = f"{typed[5:-3]}X{typed[-3:]}"
        eventually(
            lambda: answer in "".join(rows(desk, pane)).replace("$ ", ""), "the shell runs the line as it stands"
        )
