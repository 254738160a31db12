"""Three real CLIs on two hosts, from one file: each tells each other something, and none forgets it over a stop.

Their model runs the commands that it is told of, and knows nothing else.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.clis import stage as stages
from tests.clis.recipes import RECIPES, WORK
from tests.clis.stage import START_SECONDS, Stage
from tests.e2e.hosts import Host
from tests.e2e.mesh import knows, make_mesh
from tests.e2e.sessions import record
from tests.eventually import eventually

pytestmark = [pytest.mark.clis, pytest.mark.every_cli, pytest.mark.timeout(900)]

SESSION = """
[[sessions]]
name = "{name}"
program = "{program}"
host = "{host}"
cwd = "{folder}"
prompt = "your task is {task}"
arguments = {arguments}
"""


class Member(NamedTuple):
    """A session of the team."""

    name: str
    stage: Stage
    program: str
    task: str

    @property
    def address(self) -> str:
        return f"{self.stage.host.name}-{self.name}-{self.program}"

    def described(self) -> str:
        """Return what the team's file says of it."""
        arguments = msgspec.json.encode(RECIPES[self.program].unasked).decode()
        return SESSION.format(**self._asdict(), host=self.stage.host.name, folder=WORK, arguments=arguments)

    @property
    def record(self) -> Mapping[str, Any]:
        return record(self.stage.host, self.name)

    def tells(self, other: "Member", text: str) -> None:
        """Have its model send a message, and wait until the other's has it."""
        order = f"please-run: notify-pane {other.address} --wait={START_SECONDS:.0f}s {text}"
        self.stage.host.run("notify-pane", self.address, f"--wait={START_SECONDS:.0f}s", order, timeout=START_SECONDS)
        other.is_told(f"[from {self.address} @", text)

    def was_told(self, *texts: str) -> bool:
        """Tell whether one request of a conversation had all of these."""
        told = [[said for turn in request.turns for said in turn] for request in self.stage.requests()]
        return any(all(any(text in said for said in turns) for text in texts) for turns in told)

    def is_told(self, *texts: str) -> None:
        """Wait until a request of a conversation has all of these."""
        eventually(
            lambda: self.was_told(*texts),
            f"{self.name} is told {texts}",
            lambda: (self.stage.screen(self.record["pane"]), self.stage.requests()),
            START_SECONDS,
        )

    def rests(self) -> None:
        """Wait until it takes input."""
        eventually(
            lambda: self.record["readiness"] == "empty input box",
            f"{self.name} rests",
            lambda: self.stage.screen(self.record["pane"]),
            START_SECONDS,
        )


@pytest.fixture(scope="module")
def team() -> Iterator[list[Member]]:
    if reason := stages.obstacle():
        pytest.skip(reason)
    found: list[Stage] = []

    def prepare(hosts: list[Host]) -> None:
        for host in hosts:
            stage = Stage(host)
            for program in ("claude", "codex", "gemini"):
                stage.provide(RECIPES[program])
            stage.follow()
            found.append(stage)

    with stages.network() as network:
        hub, _ = make_mesh(network, ["hub", "worker-1"], prepare)
        here, there = found
        team = [
            Member("lead", here, "claude", "leading-t1x"),
            Member("builder", there, "codex", "building-t2x"),
            Member("tester", there, "gemini", "testing-t3x"),
        ]
        hub.outside("team.toml").write_text("".join(member.described() for member in team))
        yield team


def command(team: list[Member], word: str) -> str:
    """Bring the team up, or down; returns what is said."""
    hub = team[0].stage.host
    return hub.run("agentmesh", word, "team.toml", timeout=4 * START_SECONDS).stdout


def test_three_programs_on_two_hosts_talk_are_stopped_and_go_on_with_what_they_were_told(team: list[Member]) -> None:
    said = command(team, "up")
    assert all(f"{member.name}: {member.program} is ready in {member.address}" in said for member in team), said
    for member in team:
        member.is_told(member.task)
        eventually(knows(member.stage.host, *(each.address for each in team)), "all know all")
    pairs = list(itertools.permutations(team, 2))
    for one, other in pairs:
        one.tells(other, f"word-from-{one.name}-to-{other.name}")
    for member in team:
        eventually(lambda member=member: member.record["conversation"], f"{member.name}'s conversation is recorded")  # type: ignore[misc]
        member.rests()
    before = {member.name: member.record for member in team}

    said = command(team, "down")
    assert said.count("stopped by exit-command") == 3, said
    assert [member.record["status"] for member in team] == ["stopped"] * 3

    command(team, "up")
    for member in team:
        after = member.record
        assert (after["conversation"], after["alive"]) == (before[member.name]["conversation"], True)
        assert after["pid"] != before[member.name]["pid"]
    for one, other in zip(team, [*team[1:], team[0]], strict=True):
        one.tells(other, f"again-to-{other.name}")
        heard = [f"word-from-{each.name}-to-{other.name}" for each in team if each is not other]
        other.is_told(other.task, *heard, f"again-to-{other.name}")
    command(team, "down")
