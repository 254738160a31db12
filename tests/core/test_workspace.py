"""Workspaces: their names, and the PATH in one and outside of them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.color import PALETTE, color_of
from agentmesh.core.workspace import VARIABLE, WorkspaceName, environment, outside

FOLDERS = st.lists(st.sampled_from(["/usr/bin", "", "/bin", "/h/tmux-workspaces/api", "/h/tmux-workspaces/ui"]))


@given(FOLDERS)
def test_a_program_of_one_workspace_has_no_other_shim_on_its_path(folders: list[str]) -> None:
    first, *rest = environment("ops", "/h/tmux-workspaces/ops", ":".join(folders))["PATH"].split(":")
    assert first == "/h/tmux-workspaces/ops"
    assert not [folder for folder in rest if "tmux-workspaces" in folder]
    assert rest == outside(":".join(folders)).split(":")


@given(FOLDERS)
def test_outside_of_workspaces_nothing_of_them_is_left(folders: list[str]) -> None:
    path = ":".join(folders)
    assert environment("", "", path) == {"PATH": outside(path)}
    assert VARIABLE not in environment("", "", path)
    assert outside(outside(path)) == outside(path)


@pytest.mark.parametrize("name", ["../api", "a b", "a;b", "a.b", "-L", "a/b", "a\n", "x" * 41])
def test_a_name_that_no_socket_should_have_is_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, WorkspaceName)


@given(st.text())
def test_each_role_has_one_colour(role: str) -> None:
    assert color_of(role) in PALETTE
    assert color_of(role) == color_of(role)


def test_roles_have_every_colour() -> None:
    assert {color_of(f"role-{number}") for number in range(100)} == set(PALETTE)
