"""Names of dropped files."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.drop import announcement, numbered, safe_name

# Not UTF-8 either: a file's name is bytes, and Python shows odd ones as lone surrogates.
hostile = st.lists(
    st.one_of(
        st.text(),
        st.sampled_from([*"./\\-~ \n\x1b\x00\udcff\u202e\u2028\u2066", "é" * 90, "x" * 150]),
        st.text(max_size=1),
    ),
).map("".join)

TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Classes of characters that turn the direction of what follows, so that a name reads as another."""


@given(hostile, hostile)
def test_an_announcement_without_a_text_is_one_line(path: str, name: str) -> None:
    line = announcement(path + name, 1, "")
    assert not [character for character in line if unicodedata.category(character) == "Cc"]


@given(hostile, st.integers(1, 10_000))
def test_a_safe_name_is_one_harmless_component(text: str, number: int) -> None:
    name = numbered(safe_name(text), number)
    assert name
    assert not name.startswith((".", "-", " "))
    assert len(name.encode()) <= 255
    assert not set(name) & set("/\\\0")
    assert not [character for character in name if unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"}]
    assert not [character for character in name if unicodedata.bidirectional(character) in TURNING]


@given(hostile)
def test_a_safe_name_is_safe_already(text: str) -> None:
    assert safe_name(safe_name(text)) == safe_name(text)


@pytest.mark.parametrize("name", ["diff.patch", "README", "a b (2).tar.gz", "übersicht.md", "日本.txt", "x-_~!@#$%.c"])
def test_an_ordinary_name_stands_as_it_is(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../.ssh/authorized_keys", "ssh-authorized_keys"),
        ("/etc/passwd", "etc-passwd"),
        ("..", "file"),
        ("", "file"),
        ("~/x", "~-x"),
        ("-rf", "rf"),
        ("x" * 300 + ".patch", "x" * 194 + ".patch"),
        ("e\u0301", "é"),
        ("invoice\u202efdp.exe", "invoice-fdp.exe"),
        ("two\u2028lines", "two-lines"),
    ],
)
def test_a_dangerous_name_is_made_harmless(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1), st.integers(1, 50), st.integers(1, 50))
def test_numbered_names_of_one_name_are_distinct(name: str, first: int, second: int) -> None:
    assert (numbered(name, first) == numbered(name, second)) == (first == second)


def test_an_announcement_is_exact() -> None:
    assert announcement("~/.agent-inbox/me/a.txt", 1234, "") == "file dropped at ~/.agent-inbox/me/a.txt (1234 bytes)"
    assert announcement("/a", 1, "look") == "file dropped at /a (1 bytes): look"
    assert announcement("/a.tar", 1, "look", folder=True) == "file dropped at /a.tar (1 bytes, tar of a folder): look"
