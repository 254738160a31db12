"""Profiles as files: those shipped, and the user's over them."""

from pathlib import Path

import pytest

from agentmesh.config import Paths, load_profiles
from agentmesh.errors import BadConfiguration

MINE = """
name = "{name}"
title = "Mine"
kind = "box"
processes = ["mine"]
[box]
prompt = "%"
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    paths.profiles.mkdir()
    return paths


def test_every_program_is_known_by_names_of_its_own(paths: Paths) -> None:
    profiles = load_profiles(paths).values()
    known = [name for profile in profiles for name in profile.processes]
    assert len(known) == len(set(known))
    assert {"claude", "codex", "gemini", "opencode", "copilot", "qwen", "aider"} <= {
        profile.name for profile in profiles if profile.kind == "box" and profile.box
    }


def test_a_profile_of_the_user_s_own_comes_beside_those_shipped(paths: Paths) -> None:
    (paths.profiles / "mine.toml").write_text(MINE.format(name="mine"))
    profiles = load_profiles(paths)
    assert profiles["mine"].processes == ("mine",)
    assert profiles["claude"].title == "Claude Code"


def test_a_profile_of_the_user_s_own_replaces_the_one_of_its_name(paths: Paths) -> None:
    (paths.profiles / "anything.toml").write_text(MINE.format(name="claude"))
    profile = load_profiles(paths)["claude"]
    assert profile.processes == ("mine",)
    assert profile.box
    assert profile.box.prompt == "%"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "Invalid value"),
        ('name = "x"', "title"),
        (MINE.format(name="x") + "colour = 3\n", "colour"),
        (MINE.format(name="x") + 'cursor = "blinking"\n', "cursor"),
        (MINE.format(name="x") + "rules = 2\n", "rules"),
        (MINE.format(name="x") + 'busy_title = "("\n', "busy_title"),
        (MINE.format(name="x") + 'panels = ["*"]\n', "panels"),
        (MINE.format(name="x") + 'paste_token = "x"\n', "paste_token"),
        (MINE.format(name="x").replace("%", ""), "prompt"),
        (MINE.format(name="x").replace('"box"', '"boxes"'), "kind"),
        (MINE.format(name="x") + 'paste_token = "x(?P<length>.)"\n', "paste_token"),
    ],
)
def test_a_profile_that_can_not_be_meant_is_refused_by_its_name(paths: Paths, text: str, complaint: str) -> None:
    file = paths.profiles / "mine.toml"
    file.write_text(text)
    with pytest.raises(BadConfiguration) as refused:
        load_profiles(paths)
    assert str(file) in str(refused.value)
    assert complaint in str(refused.value)
