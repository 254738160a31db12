"""A team's file, and what is to be done until it is so."""

import tomllib

import msgspec
import pytest

from agentmesh.core.agent_session import Status
from agentmesh.core.session_request import Creation
from agentmesh.core.team import Action, Member, command, plan_down, plan_up, read_team, stands_by
from agentmesh.errors import BadTeam

A = '[[sessions]]\nname = "a"\nprogram = "claude"\n'
B = '[[sessions]]\nname = "b"\nprogram = "codex"\nhost = "worker-1"\n'


def team(text: str) -> tuple[Member, ...]:
    return read_team("team.toml", text, tomllib.loads(text), "hub")


def actions(*members: Member, **statuses: Status) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return what is planned to bring these up, and down."""
    found = {member.host: statuses for member in members}
    plans = plan_up(members, found), plan_down(members, found)
    up, down = ([(one.member.name, str(one.action)) for one in plan] for plan in plans)
    return up, down


@pytest.mark.parametrize(
    ("status", "up", "down"),
    [
        (None, Action.CREATE, Action.NOTHING),
        (Status.RUNNING, Action.NOTHING, Action.STOP),
        (Status.STOPPED, Action.RESUME, Action.NOTHING),
        (Status.TERMINATED, Action.RESUME, Action.NOTHING),
    ],
)
def test_a_session_gets_what_it_needs(status: Status | None, up: Action, down: Action) -> None:
    found = {} if status is None else {"a": status}
    assert actions(*team(A), **found) == ([("a", up)], [("a", down)])


def test_a_team_is_started_in_its_order_and_stopped_in_reverse() -> None:
    up, down = actions(*team(A + B), a=Status.STOPPED, b=Status.STOPPED)
    assert [name for name, _ in up] == ["a", "b"]
    assert [name for name, _ in down] == ["b", "a"]


def test_every_option_of_a_creation_can_stand_in_the_file() -> None:
    options = [field.name for field in msgspec.structs.fields(Creation) if field.type is str]
    options = [name for name in options if name not in {"name", "program", "path", "shell", "window"}]
    assert {"cwd", "role", "scope", "prompt", "split"} <= set(options)
    (member,) = team(A + "".join(f'{name} = "-{name}"\n' for name in options) + 'arguments = ["--", ""]\n')
    (planned,) = plan_up([member], {"": {}})
    words = command(planned)
    assert words[:4] == ["session", "create", "a", "--program=claude"] or "--program=claude" in words
    assert {f"--{name}=-{name}" for name in options} <= set(words)
    assert words[-3:] == ["--", "--", ""]


def test_this_host_has_no_name_in_a_team() -> None:
    here, there = team(A + 'host = "hub"\n' + B)
    assert (here.host, there.host) == ("", "worker-1")


def test_who_stands_beside_another_is_known() -> None:
    members = team(A + '[[sessions]]\nname = "c"\nprogram = "x"\nsplit = "a"\n' + B + 'window = "a"\n')
    assert [stands_by(member, members) for member in members] == [None, members[0], None]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it has no [[sessions]]"),
        ("sessions = []", "it has no [[sessions]]"),
        ("sessions = 3", "it has no [[sessions]]"),
        (f"hosts = 1\n{A}", "there is no hosts in a team"),
        (f"{A}{A}", "line 4: a is there twice"),
        (f'{A}host = "hub"\n{A}', "line 5: a is there twice"),
        (f"{A}\nrole = 5\n", "line 5: Expected `str`, got `int`"),
        (f'{A}\nrole = ""\nrule = ""\n', "line 6: Object contains unknown field `rule`"),
        (f'{A}{B}path = "/bin"\n', "line 8: "),
        (f'{A}window = "x"\nsplit = "y"\n', "line 1: a session has a window or a split, not both"),
        ('sessions = [{name = "a"}]', "session 1: Object missing required field `program`"),
        (f'{A}split = "b"\n{B}host = "hub"\n'.replace('host = "worker-1"\n', ""), "a stands by b, which must be"),
        ('[[sessions]]\nname = "a b"\nprogram = "x"\n', "line 2: "),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(text: str, told: str) -> None:
    with pytest.raises(BadTeam) as caught:
        team(text)
    assert told in str(caught.value)
    assert str(caught.value).startswith("team.toml can't be used, and nothing was started: ")
