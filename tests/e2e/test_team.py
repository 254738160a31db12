"""A team on two hosts, from one file: brought up, left alone, mended, and stopped."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import make_mesh
from tests.e2e.sessions import furnish, record, session
from tests.eventually import eventually

pytestmark = [pytest.mark.hosts, pytest.mark.tmux]
PATH = "team/team.toml"
NAMES = ("lead", "beside", "builder")
TEAM = """
[[sessions]]
name = "lead"
program = "plain"
host = "hub"
cwd = "."
role = "lead; of all"
prompt = "brief.md"
arguments = ["two words", "", "--host"]

[[sessions]]
name = "beside"
program = "plain"
window = "lead"
prompt = "begin"

[[sessions]]
name = "builder"
program = "plain"
host = "worker-1"
cwd = "api"
scope = "it's the API"
prompt = "brief.md"
"""
BROKEN = """
[[sessions]]
name = "fails"
program = "crash"

[[sessions]]
name = "skipped"
program = "plain"
window = "fails"

[[sessions]]
name = "lost"
program = "plain"
host = "nowhere"

[[sessions]]
name = "works"
program = "shell"
host = "worker-1"
"""


@pytest.fixture(scope="module")
def hosts(network: Network) -> list[Host]:
    return make_mesh(network, ["hub", "worker-1"], furnish)


def team(hub: Host, command: str, *words: str, code: int = 0) -> str:
    """Run a command on the team's file, as a login shell does; returns what it says."""
    told = hub.run("bash", "-lc", 'exec "$@" 2>&1', "-", "agentmesh", command, *words, check=False, timeout=60)
    assert told.returncode == code, told
    return told.stdout.removeprefix("welcome\n")


def members(hub: Host, worker: Host) -> dict[str, Mapping[str, Any]]:
    """Return the records of the team, by name, without the time at which they were looked at."""
    found = {"lead": record(hub, "lead"), "beside": record(hub, "beside"), "builder": record(worker, "builder")}
    return {name: {**one, "updated": 0} for name, one in found.items()}


def test_a_team_comes_up_on_two_hosts_and_is_left_alone_while_it_runs(hub: Host, worker: Host) -> None:
    folder = hub.outside("team")
    (folder / "agentmesh").mkdir(parents=True)
    (folder / "agentmesh" / "__main__.py").write_text("print('hacked')")
    worker.outside("api").mkdir()
    (folder / "team.toml").write_text(TEAM)
    (folder / "brief.md").write_text("read this;\nthen begin")

    dry = team(hub, "up", PATH, "--dry-run").splitlines()
    assert [line.split()[:5] for line in dry] == [["$", "agentmesh", "session", "create", name] for name in NAMES]
    assert "sessions" not in hub.outside(".agents/agent-sessions.toml").read_text()

    said = team(hub, "up", PATH)
    assert "hacked" not in said
    places = [said.index(f"{name}: plain is ready in") for name in NAMES]
    assert places == sorted(places)
    assert said.count("read this;\nthen begin") == said.count("--prompt=brief.md") == 2
    eventually(
        lambda: all(one["conversation"] for one in members(hub, worker).values()), "their conversations are recorded"
    )
    before = members(hub, worker)
    assert (before["lead"]["cwd"], before["lead"]["role"]) == (str(hub.home / "team"), "lead; of all")
    assert before["lead"]["arguments"] == ["two words", "", "--host"]
    assert before["beside"]["tmux_session"] == before["lead"]["tmux_session"]
    assert (before["builder"]["cwd"], before["builder"]["scope"]) == (str(worker.home / "api"), "it's the API")

    assert team(hub, "up", PATH).splitlines() == [f"{name}: running" for name in NAMES]
    down = team(hub, "down", PATH, "--dry-run").splitlines()
    assert [line.split()[3:5] for line in down] == [["stop", name] for name in reversed(NAMES)]
    assert members(hub, worker) == before

    worker.run("kill", "-KILL", str(before["builder"]["pid"]))
    eventually(lambda: record(worker, "builder")["status"] == "terminated", "its end is noticed")
    *running, resumes = team(hub, "up", PATH, "--dry-run").splitlines()
    assert (len(running), resumes) == (2, "$ agentmesh session resume builder --host=worker-1")
    assert "builder: plain is ready" in team(hub, "up", PATH)
    back = members(hub, worker)["builder"]
    assert (back["conversation"], back["alive"]) == (before["builder"]["conversation"], True)


def test_a_team_is_stopped_but_for_who_is_in_the_middle_of_something(hub: Host, worker: Host) -> None:
    before = members(hub, worker)
    pane = before["lead"]["pane"]
    hub.run("tmux", "send-keys", "-t", pane, "-l", "a draft")
    eventually(lambda: record(hub, "lead")["readiness"] == "half-typed text", "the draft is seen")
    refused = team(hub, "down", PATH, code=3)
    assert "lead isn't stopped" in refused
    places = [refused.index(f"session stop {name}") for name in reversed(NAMES)]
    assert places == sorted(places)
    assert [one["status"] for one in members(hub, worker).values()] == ["running", "stopped", "stopped"]
    hub.run("tmux", "send-keys", "-t", pane, "C-s")
    eventually(lambda: record(hub, "lead")["readiness"] == "empty input box", "the draft is put aside")
    assert "lead: stopped by" in team(hub, "down", PATH)
    assert team(hub, "down", PATH).splitlines() == [f"{name}: stopped" for name in reversed(NAMES)]
    team(hub, "up", PATH)
    after = members(hub, worker)
    assert [one["conversation"] for one in after.values()] == [one["conversation"] for one in before.values()]


def test_what_fails_keeps_nobody_else_from_being_started(hub: Host, worker: Host) -> None:
    hub.outside("broken.toml").write_text(BROKEN)
    said = team(hub, "up", "broken.toml", code=4)
    assert "it ends here" in said
    assert "skipped: isn't created, as it stands by fails, which has failed" in said
    assert "lost: nowhere can't be asked over ssh" in said
    assert record(worker, "works")["alive"]
    assert "No session" in session(hub, "status", "skipped", code=2).stderr
    team(hub, "down", "broken.toml", code=4)
    assert record(worker, "works")["status"] == "stopped"


def test_a_file_that_is_wrong_starts_nothing(hub: Host) -> None:
    file = hub.outside("wrong.toml")
    good = '[[sessions]]\nname = "fine"\nprogram = "shell"\n'
    for wrong, told in (
        ("[[sessions]\n", "line 4"),
        ('[[sessions]]\nname = "x"\n', "line 4: Object missing required field `program`"),
        ('[[sessions]]\nname = "x"\nprogram = "shell"\nhost = "-oProxyCommand=x"\n', "no SSH alias"),
    ):
        file.write_text(good + wrong)
        assert told in team(hub, "up", "wrong.toml", code=1)
        assert "No session" in session(hub, "status", "fine", code=2).stderr
    assert "can't be used" in team(hub, "down", "none.toml", code=1)
