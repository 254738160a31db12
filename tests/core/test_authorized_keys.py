"""The lines that pin keys, among lines of all kinds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.authorized_keys import Entry, entries, forced_command, pinned_name, pins, with_pin, without_pins
from agentmesh.core.identity import Pin

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmnrcj4"
PIN = Pin("worker-1", KEY)
COMMAND = forced_command("/home/me/.agents/bin/agentmesh", "", "worker-1")
LINE = f'restrict,command="/home/me/.agents/bin/agentmesh wire --peer worker-1" {KEY} agentmesh:worker-1\n'

lines = st.sampled_from(
    [
        "# a comment",
        "",
        "   ",
        "ssh-rsa AAAAB3Nz somebody@somewhere",
        'from="10.0.0.0/8",command="echo \\"hi\\" wire --peer worker-1x; true" ssh-rsa AAAAB3Nz x',
        'environment="A=b c",no-pty ecdsa-sha2-nistp256 AAAAE2Vj',
        'restrict,command="/x/bin/agentmesh wire --peer other" ssh-ed25519 AAAAother agentmesh:other',
        "\xff\xfe nonsense",
        "ssh-rsa AAAA carriage return\r",
        "\tssh-rsa AAAA indented",
    ]
)
files = st.builds(lambda parts, end: "\n".join(parts) + end, st.lists(lines, max_size=6), st.sampled_from(["", "\n"]))


@given(files)
def test_what_stands_in_the_file_stays_byte_for_byte(text: str) -> None:
    pinned = with_pin(text, PIN, COMMAND)
    end = "" if not text or text.endswith("\n") else "\n"
    assert pinned == text + end + LINE
    assert without_pins(pinned, "worker-1") == text + end


@given(files)
def test_pinning_twice_is_pinning_once(text: str) -> None:
    pinned = with_pin(text, PIN, COMMAND)
    assert with_pin(pinned, PIN, COMMAND) == pinned
    assert PIN in pins(pinned)


@given(files, files)
def test_a_pin_is_removed_from_anywhere_and_nothing_else_is(before: str, after: str) -> None:
    text = (before if before.endswith("\n") or not before else before + "\n") + LINE
    assert without_pins(text + after, "worker-1") == text.removesuffix(LINE) + after


def test_a_moved_home_gives_the_pin_its_new_command() -> None:
    moved = with_pin(f"# first\n{LINE}# last\n", PIN, forced_command("/new/bin/agentmesh", "", "worker-1"))
    assert moved.startswith('# first\n# last\nrestrict,command="/new/bin/agentmesh wire --peer worker-1"')
    assert pins(moved) == {PIN}


@pytest.mark.parametrize(
    ("launcher", "home"),
    [("/home/me/.agents/bin/agentmesh", ""), ('/a b/"q"/it\'s/bin/agentmesh', ""), ("/x/bin/agentmesh", "/o'd d\\ir")],
)
def test_any_path_can_stand_in_the_command(launcher: str, home: str) -> None:
    text = with_pin("", PIN, forced_command(launcher, home, "worker-1"))
    assert entries(text) == [Entry(1, KEY, "worker-1")]


@pytest.mark.parametrize(
    "command",
    [
        "agentmesh wire",
        "agentmesh wire --peer worker-1; sh",
        "agentmesh wire --peer -x",
        "bash",
        "myagentmesh wire --peer a",
    ],
)
def test_another_command_pins_nothing(command: str) -> None:
    assert pinned_name(command) == ""


def test_every_line_that_lets_a_key_in_is_seen() -> None:
    text = f'# {KEY}\n{KEY} me@here\n\nno-pty {KEY}\n{LINE}from="a b",no-pty {KEY}\njunk\n'
    assert [(entry.number, entry.name) for entry in entries(text)] == [(2, ""), (4, ""), (5, "worker-1"), (6, "")]
