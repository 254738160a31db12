"""Two agents, real CLIs in panes: one hands a task to the other, and has its work reviewed by it.

Their model runs the commands that briefs and messages name, and knows nothing else.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.clis import install
from tests.clis import stage as stages
from tests.clis.correspondent import Correspondent
from tests.clis.follower import FLAW, MENDED
from tests.clis.recipes import HOME, RECIPES, WORK, Recipe
from tests.clis.stage import Stage
from tests.e2e.namespaces import SYSTEM_PATH
from tests.eventually import eventually

pytestmark = [pytest.mark.clis, pytest.mark.timeout(600)]

SECONDS = 120.0


class Pair(NamedTuple):
    stage: Stage
    claude: Correspondent
    codex: Correspondent


def trusted(recipe: Recipe) -> Recipe:
    """Return a recipe with which a program runs any command without asking, and finds ours."""
    path = f"{HOME}/.agents/bin:{install.node()}:{SYSTEM_PATH}"
    return recipe._replace(command=(*recipe.command, *recipe.unasked), environment={**recipe.environment, "PATH": path})


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    if reason := stages.obstacle():
        pytest.skip(reason)
    claude, codex = trusted(RECIPES["claude"]), trusted(RECIPES["codex"])
    with stages.lone_stage() as stage:
        stage.start_agent()
        # Codex runs a login shell, which sets PATH anew.
        stage.outside(f"{HOME}/.profile").write_text("PATH=$HOME/.agents/bin:$PATH\n")
        people = []
        for recipe in (claude, codex):
            person = Correspondent(stage, recipe, stage.open(recipe.name, recipe))
            person.shows(recipe.idle)
            person.steady()
            people.append(person)
        stage.follow()
        yield Pair(stage, *people)


def ask(stage: Stage, *words: str) -> Any:  # noqa: ANN401 (whatever the command's JSON is)
    done = stage.run("agentmesh", *words, "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def tell(who: Correspondent, command: str) -> None:
    """Have the model of a program run a command."""
    who.paste(f"please-run: {command}")
    who.steady(3)
    who.press("Enter")


def seen(pair: Pair) -> str:
    return "\n".join(person.stage.screen(person.pane) for person in (pair.claude, pair.codex))


def test_one_hands_a_task_to_the_other_who_claims_it_reports_on_it_and_completes_it(pair: Pair) -> None:
    stage = pair.stage
    # What is submitted is echoed to standard error: a model that does all it is told would do it itself.
    tell(pair.claude, f"agentmesh job submit solo:{pair.codex.pane} --brief 'count tests' --wait 2>/dev/null >answer")

    def state() -> str:
        jobs = ask(stage, "job", "list", "--all")
        return str(jobs[0].get("state")) if jobs else "none"

    eventually(lambda: state() == "completed", "the job is completed", lambda: f"{state()}\n{seen(pair)}", SECONDS)
    (job,) = ask(stage, "job", "list", "--all")
    told = [
        json.loads(line)["event"]
        for line in stage.run("agentmesh", "job", "log", job["id"], "--json").stdout.split("\n")
        if line
    ]
    assert [event["type"] for event in told] == ["registered", "claimed", "started", "progress", "completed"]
    assert {event["from"] for event in told[1:]} == {job["worker"]}
    assert job["to"] == f"solo:{pair.codex.pane}"
    assert job["worker"].startswith("solo-codex-")
    assert job["submitter"].startswith("solo-claude-")
    assert "5 events" in stage.run("agentmesh", "job", "verify", job["id"]).stdout
    answer = stage.outside(f"{WORK}/answer")
    eventually(lambda: "completed: as you asked" in answer.read_text(), "its submitter is told", answer.read_text)


def test_what_the_reviewer_does_not_pass_the_worker_mends_until_it_is_passed(pair: Pair) -> None:
    stage = pair.stage
    diff = stage.outside(f"{WORK}/change.diff")
    diff.write_text(f"--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+{FLAW}\n")
    words = f"--diff change.diff --worker solo:{pair.claude.pane} --reviewers solo:{pair.codex.pane}"
    tell(pair.claude, f"agentmesh review start {words}")

    def review() -> dict[str, Any]:
        found = ask(stage, "review", "list", "--all")
        return dict(found[0]) if found else {}

    eventually(lambda: review().get("state") == "passed", "it is passed", lambda: f"{review()}\n{seen(pair)}", SECONDS)
    first, second = review()["rounds"]
    assert [each["asks"][0]["verdict"] for each in (first, second)] == ["not-pass", "pass"]
    assert first["asks"][0]["feedback"] == f"there is a {FLAW}"
    assert first["sha256"] != second["sha256"]
    assert diff.read_text().endswith(f"+{MENDED}\n")
    assert stage.run("agentmesh", "review", "gate", review()["id"]).returncode == 0
    for each in (first, second):
        assert "3 events" in stage.run("agentmesh", "job", "verify", each["asks"][0]["job"]).stdout
