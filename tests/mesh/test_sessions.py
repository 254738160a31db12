"""Sessions of a host: created, watched, stopped, resumed, compared with what is there; programs that don't comply."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentmesh.adapters.process import started
from tests.eventually import eventually
from tests.mesh.local import LocalHost
from tests.mesh.sessions import furnish, session, status

pytestmark = pytest.mark.tmux
MODES = ("plain", "crash", "login", "stubborn", "busy")


@pytest.fixture(scope="module")
def host(root: Path) -> Iterator[LocalHost]:
    host = LocalHost("solo", root)
    furnish(host, MODES)
    try:
        host.start()
        yield host
    finally:
        host.end()


def test_a_session_is_created_told_something_stopped_and_resumed_with_its_conversation(host: LocalHost) -> None:
    folder = host.home / "it's a; $(folder)"
    folder.mkdir()
    arguments = ["--", "two words", "$(touch hacked);", "", "ends;"]
    done = session(
        host,
        *("create", "worker", "--program", "plain", "--cwd", str(folder), "--role", "reviewer; of all"),
        *("--scope", "api", "--prompt", "begin with this", *arguments),
    )
    assert "solo-worker-plain" in done.stdout
    assert "begin with this" in done.stdout
    assert json.loads((folder / "arguments.json").read_text()) == arguments[1:]
    (shown,) = json.loads(host.run("agentmesh", "show", "worker", "--json").stdout)
    assert (shown["address"], shown["role"], shown["scope"]) == ("solo-worker-plain", "reviewer; of all", "api")
    eventually(lambda: status(host, "worker")["conversation"], "its conversation is recorded", lambda: host.log)
    before = status(host, "worker")
    assert (before["status"], before["address"], before["alive"]) == ("running", "solo-worker-plain", True)
    assert before["conversation"] in before["argv"]

    assert "stopped by exit-command" in session(host, "stop", "worker").stdout
    stopped = status(host, "worker")
    assert (stopped["status"], stopped["termination_mode"]) == ("stopped", "exit-command")
    assert started(before["pid"]) == ""
    assert "solo-worker-plain" not in host.addresses()
    assert "Bring it back" in session(host, "stop", "worker", code=1).stderr
    assert "exists" in session(host, "create", "worker", "--program", "plain", code=1).stderr

    session(host, "resume", "--all")
    back = status(host, "worker")
    assert (back["status"], back["address"], back["cwd"]) == ("running", "solo-worker-plain", str(folder))
    assert back["conversation"] == before["conversation"]
    assert "begin with this" in host.tmux.screen(back["pane"])
    assert json.loads((folder / "arguments.json").read_text()) == arguments[1:]
    session(host, "archive", "worker", code=1)
    session(host, "stop", "worker")
    session(host, "archive", "worker")
    assert session(host, "status").stdout.count("worker") == 0
    assert status(host, "worker")["status"] == "archived"


def test_a_program_that_crashes_at_its_start_leaves_its_last_lines_and_nothing_else(host: LocalHost) -> None:
    done = session(host, "create", "broken", "--program", "crash", code=4)
    assert "  | no key was found\n  | it ends here" in done.stderr
    assert not [address for address in host.addresses() if "broken" in address]
    assert "No session" in session(host, "status", "broken", code=2).stderr


def test_what_can_t_be_started_is_said(host: LocalHost) -> None:
    assert "claude, codex" in session(host, "create", "x", "--program", "nothing", code=2).stderr
    bare = {"PATH": f"{Path(sys.executable).parent}"}
    missing = host.run("agentmesh", "session", "create", "x", "--program", "fish", environment=bare)
    assert (missing.returncode, "no program called fish" in missing.stderr) == (4, True)
    assert "no folder" in session(host, "create", "x", "--program", "plain", "--cwd", "none", code=1).stderr
    assert "40 at most" in session(host, "create", "x.y", "--program", "plain", code=1).stderr
    assert (
        "No such tmux session" in session(host, "create", "x", "--program", "plain", "--window", "none", code=2).stderr
    )


def test_a_question_at_the_start_is_shown_and_not_answered(host: LocalHost) -> None:
    done = session(host, "create", "asked", "--program", "login", code=3)
    assert "1. Yes" in done.stderr
    assert "session attach asked" in done.stderr
    found = status(host, "asked")
    assert (found["status"], found["readiness"]) == ("running", "question or dialog")
    assert "1. Yes" in session(host, "stop", "asked", code=3).stderr
    assert status(host, "asked")["alive"]
    assert "stopped by signal" in session(host, "stop", "asked", "--force").stdout


def test_a_draft_keeps_a_program_from_being_stopped(host: LocalHost) -> None:
    session(host, "create", "drafted", "--program", "plain", "--window", "dev")
    pane = status(host, "drafted")["pane"]
    host.tmux.run("send-keys", "-t", pane, "-l", "half a line")
    eventually(lambda: status(host, "drafted")["readiness"] == "half-typed text", "the draft is seen")
    assert "half a line" in session(host, "stop", "drafted", code=3).stderr
    assert "half a line" in host.tmux.screen(pane)
    session(host, "stop", "drafted", "--force")


def test_all_that_a_stubborn_program_has_started_is_killed(host: LocalHost) -> None:
    session(host, "create", "mule", "--program", "stubborn", "--split", "solo-dev-first")
    found = status(host, "mule")
    (child,) = subprocess.run(["pgrep", "-P", str(found["pid"])], capture_output=True, check=True).stdout.split()
    first = host.tmux.ask("dev:first.0", "#{pane_pid}")
    assert "stopped by killed" in session(host, "stop", "mule").stdout
    assert started(found["pid"]) == started(int(child)) == ""
    assert started(int(first))


def test_records_are_put_right_by_what_is_there(host: LocalHost) -> None:
    session(host, "create", "fallen", "--program", "plain", "--prompt", "hello")
    eventually(lambda: status(host, "fallen")["conversation"], "its conversation is recorded")
    found = status(host, "fallen")
    os.kill(found["pid"], signal.SIGKILL)
    eventually(lambda: status(host, "fallen")["status"] == "terminated", "its end is noticed", lambda: host.log)
    assert status(host, "fallen")["termination_mode"] == "auto-detected"
    conversation = next((host.home / ".claude").rglob(f"{found['conversation']}.jsonl"))
    conversation.rename(host.home / "aside")
    host.open("known", sys.executable, str(host.home / "plain.py"), "plain", "new", "by-hand")
    wanted = {("B", "dev"), ("D", "fallen")}
    eventually(lambda: drifts(host, "--dry-run") == wanted, "both are told", lambda: drifts(host, "--dry-run"))
    assert drifts(host) == wanted
    assert drifts(host) == set()
    assert status(host, "dev")["last_visible_note"] == "auto-registered"
    assert "gone from disk" in session(host, "resume", "fallen", code=1).stderr
    (host.home / "aside").rename(conversation)
    session(host, "resume", "fallen")


def drifts(host: LocalHost, *words: str) -> set[tuple[str, str]]:
    """Return which classes are told of which sessions."""
    told = json.loads(session(host, "reconcile", "--once", "--emit-diff", *words).stdout)["drifts"]
    return {(drift["class"], drift["session"]) for drift in told}


def test_a_view_that_can_t_be_read_is_kept_aside_and_made_anew(fresh: LocalHost) -> None:
    view = fresh.agents / "agent-sessions.toml"
    view.write_text("[[sessions]]\nname = 5\n")
    fresh.start()
    assert "sessions" not in view.read_text()
    (aside,) = fresh.agents.glob("agent-sessions.toml.corrupt-*")
    assert "name = 5" in aside.read_text()
    session(fresh, "create", "plain-shell", "--program", "shell")
    assert 'status = "running"' in view.read_text()
    fresh.tmux.run("kill-server")
    eventually(lambda: status(fresh, "plain-shell")["status"] == "terminated", "its end is noticed")
    session(fresh, "resume", "plain-shell")
    assert "stopped by signal" in session(fresh, "stop", "plain-shell").stdout
