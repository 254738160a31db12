"""A stage of each program's own, with an agent, and a pane in which the program waits."""

from collections.abc import Iterator
from typing import Protocol

import pytest

from tests.clis import stage as stages
from tests.clis.correspondent import Correspondent
from tests.clis.recipes import HOME, RECIPES, WORK, Recipe
from tests.clis.stage import SIZE, Stage

IN_EVERY_RUN = ("claude", "codex")


class Open(Protocol):
    """Start the program in a pane of its own."""

    def __call__(
        self, *, folder: str = WORK, size: tuple[int, int] = SIZE, home: str = HOME, first: str = ""
    ) -> Correspondent: ...


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(recipe, id=name, marks=() if name in IN_EVERY_RUN else pytest.mark.every_cli)
        for name, recipe in RECIPES.items()
    ],
)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    chosen: Recipe = request.param
    return chosen


@pytest.fixture(scope="module")
def stage(recipe: Recipe) -> Iterator[Stage]:
    if reason := stages.obstacle():
        pytest.skip(reason)
    with stages.lone_stage() as stage:
        stage.furnish(recipe)
        stage.start_agent()
        yield stage


@pytest.fixture
def opened(stage: Stage, recipe: Recipe) -> Iterator[Open]:
    panes = []

    def start(*, folder: str = WORK, size: tuple[int, int] = SIZE, home: str = HOME, first: str = "") -> Correspondent:
        correspondent = Correspondent(stage, recipe, stage.open("fresh", recipe, folder, size, home))
        panes.append(correspondent.pane)
        correspondent.shows(first or recipe.idle)
        correspondent.steady()
        return correspondent

    yield start
    for pane in panes:
        stage.tmux("kill-pane", "-t", pane)


@pytest.fixture(scope="module")
def idle(stage: Stage, recipe: Recipe) -> Correspondent:
    """Return a program that waits for input whenever it has answered what it was told."""
    correspondent = Correspondent(stage, recipe, stage.open("idle", recipe))
    correspondent.shows(recipe.idle)
    correspondent.steady()
    return correspondent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a program never shows."""
    absent = [item for item in items if _is_absent(item)]
    config.hook.pytest_deselected(items=absent)
    items[:] = [item for item in items if item not in absent]


def _is_absent(item: pytest.Item) -> bool:
    shown = item.get_closest_marker("shows")
    if shown is None or not isinstance(item, pytest.Function):
        return False
    recipe = item.callspec.params["recipe"]
    return isinstance(recipe, Recipe) and shown.args[0] in recipe.lacks
