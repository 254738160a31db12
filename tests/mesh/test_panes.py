"""What the agent does with a message, by what its pane shows: the safe thing, and it says which."""

import json
import sys
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux

CLAUDE = Path(__file__).parent / "programs" / "claude.py"


def submitted(host: LocalHost, name: str) -> list[str]:
    """Return the bodies that the fake program was given, without their tags."""
    log = host.home / f"{name}.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line).partition("] ")[2].rstrip() or json.loads(line) for line in lines]


def open_claude(host: LocalHost, name: str, mode: str = "plain") -> str:
    pane = host.open(name, sys.executable, CLAUDE, host.home / f"{name}.log", mode)
    eventually(lambda: "shortcuts" in host.tmux.screen(pane), "the box is drawn")
    return pane


@pytest.mark.parametrize(
    "body",
    ["hello", "two\nlines", "ünïcödé ✨ 漢字", "ends with @src", "/not a command", "a trailing ;", "x" * 500],
    ids=["plain", "lines", "unicode", "mention", "slash", "semicolon", "long"],
)
def test_a_box_takes_a_message_once_and_whole(host: LocalHost, body: str) -> None:
    if "solo-dev-box" not in host.addresses():
        open_claude(host, "box")
    before = submitted(host, "box")
    receipt = host.receipt("box", body)
    assert receipt.state == "submitted", host.tmux.screen("dev:box")
    assert submitted(host, "box") == [*before, body]


def test_a_body_too_long_for_the_box_goes_as_a_file(host: LocalHost) -> None:
    open_claude(host, "narrow")
    receipt = host.receipt("narrow", "word " * 1000)
    assert receipt.state == "submitted"
    path = host.home / ".agent-inbox" / "solo" / receipt.note.rpartition("/")[2]
    assert path.read_text() == ("word " * 1000).strip()
    assert f"{path.name} (4999 bytes)" in submitted(host, "narrow")[0]


def test_a_lost_enter_is_pressed_again(host: LocalHost) -> None:
    open_claude(host, "swallow", "swallow")
    assert host.receipt("swallow", "hello").state == "submitted"
    assert submitted(host, "swallow") == ["hello"]


def test_a_box_that_never_lets_go_is_uncertain(host: LocalHost) -> None:
    open_claude(host, "deaf", "deaf")
    sent = host.notify("deaf", "hello")
    assert sent.returncode == 7
    assert "not seen to take the text" in sent.stderr
    assert submitted(host, "deaf") == []


def test_a_dialog_that_comes_after_the_paste_is_never_approved(host: LocalHost) -> None:
    open_claude(host, "dialog", "dialog")
    sent = host.notify("dialog", "hello")
    assert sent.returncode == 7
    assert "Enter was not pressed" in sent.stderr
    assert submitted(host, "dialog") == []


def test_a_text_that_is_not_seen_whole_is_not_submitted(host: LocalHost) -> None:
    open_claude(host, "cut", "cut")
    assert host.notify("cut", "hello, this is much longer than the box keeps").returncode == 7
    assert submitted(host, "cut") == []


def test_a_draft_in_the_box_is_left_alone(host: LocalHost) -> None:
    pane = open_claude(host, "draft")
    host.tmux.run("send-keys", "-t", pane, "my own words")
    eventually(lambda: "my own words" in host.tmux.screen(pane), "the draft is drawn")
    before = host.tmux.screen(pane)
    refused = host.notify("draft", "hello")
    assert refused.returncode == 3
    assert "half-typed" in refused.stderr
    assert host.tmux.screen(pane) == before


READY = {
    "reader": (["sh", "-c", "read x; echo got: $x; exec sleep 600"], "got: [from"),
    "prompted": (["bash", "-c", "read -p 'path: ' x; echo got: $x; exec sleep 600"], "got: [from"),
}


@pytest.mark.parametrize("name", READY)
def test_a_program_that_reads_a_line_gets_it(host: LocalHost, name: str) -> None:
    command, answer = READY[name]
    pane = host.open(name, *command)
    assert host.receipt(name, "hello").state == "submitted"
    eventually(lambda: answer in host.tmux.screen(pane), "the program has read it", lambda: host.tmux.screen(pane))


REFUSED = {
    "password": (["bash", "-c", "read -s -p 'Password: ' x"], "", "password prompt"),
    "question": (["bash", "-c", "read -p 'Delete everything? [y/N] ' x"], "", "question or dialog"),
    "menu": (["bash", "-c", "select x in red blue; do :; done"], "", "question or dialog"),
    "onekey": (["bash", "--norc"], "read -n1 x", "question or dialog"),
    "job": (["bash", "--norc"], "sleep 600", "isn't reading"),
    "pager": (["less", "/etc/services"], "", "unknown screen"),
    "repl": ([sys.executable, "-q"], "", "REPL"),
    "half": (["cat"], None, "half-typed"),
}
ANSWERED_BY_PERSONS = {"password", "question", "menu", "onekey"}


@pytest.mark.parametrize("name", REFUSED)
def test_a_pane_that_is_not_ready_is_left_exactly_as_it_was(host: LocalHost, name: str) -> None:
    command, typed, why = REFUSED[name]
    pane = host.open(name, *command)
    if typed is None:
        host.tmux.run("send-keys", "-t", pane, "half a line")
    elif typed:
        eventually(lambda: "bash-" in host.tmux.screen(pane), "the shell's prompt")
        host.tmux.run("send-keys", "-t", pane, typed, "Enter")
    eventually(lambda: host.tmux.screen(pane), "the program shows something")
    eventually(
        lambda: why in host.notify(name, "y").stderr, f"it is found to be: {why}", lambda: host.notify(name, "y")
    )
    before = host.tmux.screen(pane)
    for force in ([], ["--force"]) if name in ANSWERED_BY_PERSONS else ([],):
        refused = host.notify(name, "yes", *force)
        assert (refused.returncode, refused.stdout) == (3, "")
        assert host.tmux.screen(pane) == before


def test_a_line_read_by_the_shell_itself_is_ready(host: LocalHost) -> None:
    pane = host.open("builtin", "bash", "--norc")
    eventually(lambda: "bash-" in host.tmux.screen(pane), "the shell's prompt")
    host.tmux.run("send-keys", "-t", pane, "read x", "Enter")
    eventually(lambda: host.tmux.screen(pane).endswith("read x"), "the builtin reads")
    eventually(lambda: host.receipt("builtin", "hello").state == "submitted", "it takes the line")


def test_copy_mode_is_left_only_when_forced(host: LocalHost) -> None:
    pane = host.open("reading", "cat")
    host.tmux.run("copy-mode", "-t", pane)
    assert "copy mode" in host.notify("reading", "hello").stderr
    assert host.tmux.ask(pane, "#{pane_in_mode}") == "1"
    assert host.receipt("reading", "hello", "--force").state == "submitted"
    assert host.tmux.ask(pane, "#{pane_in_mode}") == "0"


def test_synchronized_panes_are_refused(host: LocalHost) -> None:
    pane = host.open("together", "cat")
    host.tmux.run("split-window", "-t", pane, "cat")
    host.tmux.run("set-option", "-w", "-t", pane, "synchronize-panes", "on")
    assert "synchronized" in host.notify("together", "hello").stderr


def test_a_dead_pane_is_a_failure_and_tmux_lives_on(host: LocalHost) -> None:
    pane = host.open("dead", "sh", "-c", "read x; exit 3")
    host.tmux.run("set-option", "-w", "-t", pane, "remain-on-exit", "on")
    host.tmux.run("send-keys", "-t", pane, "", "Enter")
    eventually(lambda: host.tmux.ask(pane, "#{pane_dead}") == "1", "the program has ended")
    failed = host.notify("dead", "hello")
    assert failed.returncode == 4
    assert "has ended" in failed.stderr
    assert host.notify("first", "still here").returncode == 0


def test_a_pane_closed_to_messages_denies_them(host: LocalHost) -> None:
    pane = host.open("closed", "cat")
    host.tmux.run("set-option", "-p", "-t", pane, "@agent-deny", "on")
    assert host.notify("closed", "hello", "--force").returncode == 6


def test_a_shell_whose_agent_has_exited_is_not_mistaken_for_a_person(host: LocalHost) -> None:
    log = host.home / "gone.log"
    pane = host.open("gone", "bash", "--norc")
    host.tmux.run("send-keys", "-t", pane, f"{sys.executable} {CLAUDE} {log}", "Enter")
    eventually(lambda: "shortcuts" in host.tmux.screen(pane), "the program runs")
    host.asking.sync()
    host.tmux.run("send-keys", "-t", pane, "C-d")
    eventually(lambda: host.tmux.ask(pane, "#{pane_current_command}") == "bash", "the shell is back")
    refused = host.notify("gone", "hello")
    assert refused.returncode == 3
    assert "has exited" in refused.stderr


def test_force_types_at_a_shell_prompt(host: LocalHost) -> None:
    pane = host.open("forced", "bash", "--norc")
    eventually(lambda: "bash-" in host.tmux.screen(pane), "the shell's prompt")
    assert host.notify("forced", "hello", FORCE_SEND="1").returncode == 0
    eventually(lambda: "command not found" in host.tmux.screen(pane), "the shell ran it")


def test_a_pane_whose_program_was_started_anew_gets_its_message(host: LocalHost) -> None:
    pane = host.open("anew", "cat")
    before = host.tmux.ask(pane, "#{pane_pid}")
    host.tmux.run("respawn-pane", "-k", "-t", pane, "exec cat")
    eventually(lambda: host.tmux.ask(pane, "#{pane_pid}") != before, "it has another process")
    assert host.receipt("anew", "hello").state == "submitted"
