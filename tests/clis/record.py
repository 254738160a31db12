"""Record the screens of the real CLIs for tests/screens: `python -m tests.clis.record PROGRAM [STATE...]`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.clis.person import Person
from tests.clis.recipes import HOME, LOGIN, NOBODY, RECIPES, STRANGE, TRUST, WORK, Recipe
from tests.clis.stage import SIZE, Stage, lone_stage

FOLDER = Path(__file__).parents[1] / "screens"
META = (
    "#{pane_current_command} cur=#{cursor_x},#{cursor_y} cflag=#{cursor_flag} cchar=[#{cursor_character}]"
    " alt=#{alternate_on} mode=#{pane_in_mode}:#{pane_mode} #{pane_width}x#{pane_height} hist=#{history_size}"
    " mouse=#{mouse_any_flag}/#{mouse_button_flag} kp=#{keypad_cursor_flag}/#{keypad_flag} ins=#{insert_flag}"
    " inputoff=#{pane_input_off} sync=#{pane_synchronized} dead=#{pane_dead}/#{pane_dead_status} title=#{pane_title}"
)
NARROW = (40, 30)


class State(NamedTuple):
    """How a program is brought into a state."""

    script: Callable[[Person], None]
    size: tuple[int, int] = SIZE
    folder: str = WORK
    home: str = HOME
    unasked: bool = False
    """Whether it is started so that it runs everything without asking."""
    first: str = ""
    """A pattern on the screen before the script begins, if it is not the program's idle box."""


def _steady(person: Person) -> None:
    person.steady()


def _half(person: Person) -> None:
    person.type("half a line")
    person.steady()


def _mode(person: Person) -> None:
    person.press(person.recipe.mode_key)
    person.steady()


def _multi(person: Person) -> None:
    person.paste("line one\nline two")
    person.steady(3)
    person.type(" thr")
    person.steady()


def _draft(person: Person) -> None:
    person.type("my draft ")
    person.steady(3)
    person.paste("[from hub-dev-main @ 2026-11-21T12:00:00Z] the schema has changed")
    person.steady()


def _early_enter(person: Person) -> None:
    person.paste("[from hub-dev-main @ 2026-11-21T12:00:00Z] the schema has changed")
    person.press("Enter")
    person.steady()


def _long(person: Person) -> None:
    person.paste("\n".join(f"line {number:05} lorem ipsum dolor sit amet" for number in range(260)))
    person.steady()


def _busy(person: Person) -> None:
    person.submit("please-be-slow")
    person.shows("Thinking")
    person.steady(3)


def _busy_queued(person: Person) -> None:
    _busy(person)
    person.paste("a second message")
    person.steady(3)
    person.press("Enter")
    person.steady(3)


def _busy_half(person: Person) -> None:
    _busy(person)
    _half(person)


def _said(text: str) -> Callable[[Person], None]:
    def script(person: Person) -> None:
        person.submit(text)
        person.steady()

    return script


def _after_submit(person: Person) -> None:
    person.submit("a message")
    person.shows("Noted")
    person.steady()


def _approval(person: Person) -> None:
    person.submit("please-run-a-tool")
    person.shows(person.recipe.asks)
    person.steady()


def _failed(person: Person) -> None:
    person.submit("please-fail")
    person.shows(r"(?i)as you\s+asked|error")
    person.steady()


def _quoted(person: Person) -> None:
    person.submit("please-quote-a-dialog")
    person.shows("and it waited there")
    person.steady()


def _typed(text: str, *keys: str) -> Callable[[Person], None]:
    def script(person: Person) -> None:
        person.type(text)
        person.steady(3)
        if keys:
            person.press(*keys)
        person.steady()

    return script


STATES = {
    "idle": State(_steady),
    "half": State(_half),
    "multi": State(_multi),
    "draft": State(_draft),
    "early-enter": State(_early_enter),
    "long10k-in-box": State(_long),
    "busy": State(_busy),
    "busy-queued": State(_busy_queued),
    "busy-half": State(_busy_half),
    "after-submit": State(_after_submit),
    "approval": State(_approval),
    "ask": State(_said("please-ask-me")),
    "trust": State(_steady, folder=STRANGE, first=TRUST),
    "login": State(_steady, home=NOBODY, first=LOGIN),
    "quoted-dialog": State(_quoted),
    "failed": State(_failed),
    "retrying": State(_said("please-be-overloaded")),
    "menu": State(_typed("/")),
    "completion": State(_typed("see @no")),
    "mode": State(_mode),
    "shell-mode": State(_typed("!")),
    "unasked": State(_steady, unasked=True),
    "unasked-half": State(_half, unasked=True),
    "narrow-idle": State(_steady, NARROW),
    "narrow-approval": State(_approval, NARROW),
    "narrow-half": State(_typed("half a line that is longer than this pane is wide, so that it wraps"), NARROW),
}


def states_of(recipe: Recipe) -> dict[str, State]:
    panels = {f"panel-{panel.removeprefix('/')}": State(_typed(panel, "Enter")) for panel in recipe.panels}
    shown = STATES | panels
    return {
        name: state
        for name, state in shown.items()
        if name not in recipe.lacks and (recipe.unasked or not state.unasked)
    }


def record(stage: Stage, recipe: Recipe, name: str, state: State) -> None:
    """Bring a program into a state, and write what it shows."""
    command = (*recipe.command, *(recipe.unasked if state.unasked else ()))
    pane = stage.open(name, recipe._replace(command=command), state.folder, state.size, state.home)
    person = Person(stage, recipe, pane)
    person.shows(state.first or recipe.idle)
    person.steady()
    state.script(person)
    screen = stage.tmux("capture-pane", "-p", "-e", "-t", pane)
    meta = stage.tmux("display-message", "-p", "-t", pane, META)
    (FOLDER / f"{recipe.name}-{name}.txt").write_text(f"{screen}\n")
    (FOLDER / f"{recipe.name}-{name}.meta.txt").write_text(f"{meta}\n")
    stage.tmux("kill-session", "-t", pane)


def main(program: str, *wanted: str) -> None:
    recipe = RECIPES[program]
    states = states_of(recipe)
    for name in wanted or states:
        with lone_stage() as stage:
            stage.outside(f"{WORK}/notes.md").write_text("Nothing.\n")
            try:
                record(stage, recipe, name, states[name])
                said = "recorded"
            except AssertionError as error:
                said = f"NOT recorded: {error}"
            sys.stdout.write(f"{program}-{name}: {said}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
