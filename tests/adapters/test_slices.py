"""Slices as TOML."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.adapters.slices import Rendered, render_slices
from agentmesh.core.address import Address
from agentmesh.core.model import Slice
from tests.core.examples import NOW, a_pane, a_slice, slices, texts


def read_back(*parts: Slice, states: dict[str, str] | None = None) -> dict[str, dict[str, dict[str, object]]]:
    return tomllib.loads(render_slices(parts, states or {}).decode())


def test_scripts_find_one_block_for_each_address() -> None:
    pane = a_pane("hub-dev-review", role="reviewer", scope="api", command="node", cwd="/work", program="codex")
    text = render_slices([a_slice(pane)], {"hub": "live"}).decode()
    assert "\n[agents.hub-dev-review]\n" in text
    assert 'target = "dev:1"\n' in text
    found = tomllib.loads(text)
    assert found["agents"]["hub-dev-review"] == {
        "host": "hub",
        "target": "dev:1",
        "session": "dev",
        "window": "review",
        "role": "reviewer",
        "scope": "api",
        "pane": pane.pane,
        "command": "node",
        "cwd": "/work",
        "program": "codex",
    }
    assert found["slices"]["hub"]["version"] == "1.0.0"
    assert found["slices"]["hub"]["state"] == "live"


def test_what_is_not_usual_is_shown_too() -> None:
    pane = a_pane("hub-dev-x.1", handle="me", server="work", formerly={Address("hub-dev-y"): NOW})
    block = read_back(a_slice(pane))["agents"]["hub-dev-x.1"]
    assert (block["handle"], block["server"], block["formerly"]) == ("me", "work", ["hub-dev-y"])


def test_an_empty_mesh_is_valid_toml() -> None:
    assert read_back(a_slice())["slices"]["hub"]["version"] == "1.0.0"
    assert not any(read_back().values())


HOSTILE = [
    "\"]\n[agents.forged]\nhost = 'x'",
    "'''",
    '"""',
    "a\\",
    "\x00\x1b\x7f\x85",
    "]",
    "#",
    "🦊 = 1",
    "\r\n",
    "= [[",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_stays_a_text(text: str) -> None:
    fields = ("window", "session", "target", "role", "scope", "command", "cwd", "program", "handle", "server")
    pane = a_pane(text, **dict.fromkeys(fields, text), formerly={Address(text): NOW})
    found = read_back(a_slice(pane, host=text), states={text: text})
    assert list(found["agents"]) == [text]
    assert all(found["agents"][text][name] == text for name in fields)
    assert list(found["slices"]) == [text]
    assert found["slices"][text]["state"] == text


@given(st.lists(slices, max_size=3, unique_by=lambda part: part.host), st.dictionaries(texts, texts))
def test_whatever_slices_hold_every_address_and_host_is_read_back(parts: list[Slice], states: dict[str, str]) -> None:
    found = read_back(*parts, states=states)
    assert set(found.get("slices", {})) == {part.host for part in parts}
    assert set(found.get("agents", {})) == {pane.address for part in parts for pane in part.panes}


def test_what_was_rendered_before_shows_every_change_and_nothing_that_is_gone() -> None:
    rendered: Rendered = {}
    first, second = a_slice(a_pane("a-dev-x", host="a"), host="a"), a_slice(a_pane("b-dev-x", host="b"), host="b")
    newer = a_slice(a_pane("b-dev-y", host="b"), host="b", counter=1)
    for parts, states in (
        ([first, second], {"a": "live"}),
        ([first, newer], {"a": "live"}),
        ([first, newer], {"a": "stale"}),
        ([newer], {}),
        ([first, second], {}),
    ):
        assert render_slices(parts, states, rendered) == render_slices(parts, states)
