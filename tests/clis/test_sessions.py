"""Sessions of real CLIs: created, told something, stopped, and brought back with what was said before."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.clis import stage as stages
from tests.clis.conftest import IN_EVERY_RUN
from tests.clis.recipes import HOME, RECIPES, WORK
from tests.clis.stage import Stage
from tests.eventually import eventually

pytestmark = [pytest.mark.clis, pytest.mark.timeout(600)]
_PATIENCE = 90.0
IDENTITY = {
    "claude": {"one": r"\bone$", "two": r"\btwo$"},
    "codex": {"one": r"^one\b", "two": r"^two\b"},
}
"""What the title of each session's pane shows of its name, as its program was told it."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name in IN_EVERY_RUN else pytest.mark.every_cli) for name in RECIPES],
)
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stage(program: str) -> Iterator[Stage]:
    """Yield a host on which the program is a command."""
    if reason := stages.obstacle():
        pytest.skip(reason)
    with stages.lone_stage() as stage:
        stage.provide(RECIPES[program])
        stage.start_agent()
        yield stage


def session(stage: Stage, *words: str) -> str:
    done = stage.run("agentmesh", "session", *words)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{stage.logs()}"
    return done.stdout


def status(stage: Stage, name: str) -> Mapping[str, Any]:
    """Return how a session is."""
    (seen,) = json.loads(session(stage, "status", name, "--json"))
    found: Mapping[str, Any] = seen
    return found


def is_told(stage: Stage, *texts: str) -> bool:
    """Tell whether one request of a conversation had all of these."""
    return any(
        all(any(text in said for turn in request.turns for said in turn) for text in texts)
        for request in stage.requests()
    )


def test_a_conversation_goes_on_after_a_stop(stage: Stage, program: str) -> None:
    for name in ("one", "two"):  # two in one folder: each has its own
        session(stage, "create", name, "--program", program, "--cwd", WORK, "--prompt", f"remember-{name}-t1x")
        eventually(lambda name=name: is_told(stage, f"remember-{name}-t1x"), "the model is told", stage.logs)  # type: ignore[misc]
    for name in ("one", "two"):
        eventually(
            lambda name=name: status(stage, name)["session"]["conversation"],  # type: ignore[misc]
            f"the conversation of {name} is recorded",
            lambda: f"{session(stage, 'status', '--json')}\n{stage.logs()}",
        )
    before = {name: status(stage, name)["session"] for name in ("one", "two")}
    for name, shown in IDENTITY.get(program, {}).items():
        assert re.search(shown, stage.tmux("display-message", "-p", "-t", before[name]["pane"], "#{pane_title}"))
    assert before["one"]["conversation"] != before["two"]["conversation"]
    for name in ("one", "two"):
        _rests(stage, name)
        assert "stopped by exit-command" in session(stage, "stop", name), stage.logs()
    session(stage, "resume", "two")
    sent = stage.run("notify-pane", "--wait=60s", "two", "go-on-t2x")
    assert sent.returncode == 0, sent
    eventually(lambda: is_told(stage, "remember-two-t1x", "go-on-t2x"), "what was said is told again", stage.logs)
    assert not is_told(stage, "remember-one-t1x", "go-on-t2x")
    again = status(stage, "two")
    assert (again["session"]["conversation"], again["address"]) == (
        before["two"]["conversation"],
        f"solo-two-{program}",
    )
    assert again["is_same_command"]
    _rests(stage, "two")
    kept, purged = (_file_of(stage, before[name]["conversation"]) for name in ("one", "two"))
    assert purged.name in session(stage, "stop", "two", "--purge", "--yes")
    assert (kept.exists(), purged.exists()) == (True, False)
    assert "begins anew" in session(stage, "resume", "two")
    assert before["two"]["conversation"] not in status(stage, "two")["session"]["argv"]
    _rests(stage, "two")
    session(stage, "stop", "two")
    session(stage, "archive", "two")


def _file_of(stage: Stage, conversation: str) -> Path:
    """Return the transcript of a conversation."""
    (path,) = stage.outside(HOME).rglob(f"*{conversation}*.jsonl")
    return path


def _rests(stage: Stage, name: str) -> None:
    """Wait until a program takes input."""
    eventually(
        lambda: status(stage, name)["readiness"] == "empty input box",
        f"{name} rests",
        lambda: stage.screen(status(stage, name)["session"]["pane"]),
        _PATIENCE,
    )
