"""Records of sessions against what is there, when programs, tmux and the agent come to an end at the wrong moment."""

import asyncio
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agentmesh.adapters import ipc
from agentmesh.adapters.process import started
from agentmesh.config import Paths
from agentmesh.core.agent_session import AgentSession
from agentmesh.core.drift import RECENT_SECONDS, Drift
from agentmesh.store import agent_sessions as store
from tests.eventually import eventually
from tests.mesh.local import LocalHost
from tests.mesh.sessions import furnish, session, status

pytestmark = pytest.mark.tmux
RECONCILE = ("reconcile", "--once", "--emit-diff")
MURDERER = """'sh', '-c', 'test ! -e ~/victim || kill -9 "$(cat ~/victim)"; exec "$@"', 'sh', """


@pytest.fixture(scope="module")
def host(root: Path) -> Iterator[LocalHost]:
    host = LocalHost("solo", root)
    furnish(host, ("plain", "loud", "restless", "held", "murderer"))
    profile = host.agents / "profiles" / "murderer.toml"
    profile.write_text(profile.read_text().replace(' = ["/', f' = [{MURDERER}"/'))
    try:
        host.start()
        yield host
    finally:
        host.end()


def told(host: LocalHost, *words: str) -> set[tuple[str, str]]:
    """Return which classes of drift a comparison tells of which sessions."""
    drifts = json.loads(session(host, *RECONCILE, *words).stdout)["drifts"]
    return {(drift["class"], drift["session"]) for drift in drifts}


async def reconciled_at_once(host: LocalHost, count: int) -> list[list[Drift]]:
    """Return what each of several comparisons tells that are asked for at the same time."""
    socket = Paths(host.agents).socket
    answers = await asyncio.gather(*(ipc.ask(socket, "session", "reconcile", "apply") for _ in range(count)))
    return [msgspec.json.decode(answer, type=list[Drift]) for answer in answers]


def kept(host: LocalHost) -> dict[Path, bytes]:
    """Return what stands in the database, in our files, and in the programs' own."""
    ours = [path for path in host.agents.iterdir() if path.name.startswith(("mesh.db", "agent-sessions"))]
    theirs = (path for path in (host.home / ".claude").rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in (*ours, *theirs) if not path.name.endswith("-shm")}


def crash_at(host: LocalHost, *words: str) -> None:
    """Run a command whose program kills the agent as soon as it starts, and start another agent."""
    victim = host.home / "victim"
    victim.write_text(str(host.status().pid))
    done = host.run("agentmesh", "session", *words)
    assert done.returncode, done
    victim.unlink()
    host.wait()
    host.start()


def is_found(host: LocalHost, name: str) -> bool:
    """Tell whether a session's process is recorded, and takes input."""
    found = status(host, name)
    return bool(found["pid"]) and found["readiness"] == "empty input box"


def test_what_a_program_prints_and_how_it_names_its_window_keeps_nobody_from_it(host: LocalHost) -> None:
    for mode in ("loud", "restless"):
        session(host, "create", mode, "--program", mode, "--prompt", f"listen, {mode}")
        eventually(lambda mode=mode: status(host, mode)["conversation"], "its conversation is recorded")  # type: ignore[misc]
    pane = status(host, "restless")["pane"]
    names = {host.tmux.ask(pane, "#{window_name}")}
    eventually(lambda: names.add(host.tmux.ask(pane, "#{window_name}")) or len(names) > 2, "its window is renamed")  # type: ignore[func-returns-value]
    assert int(host.tmux.ask(status(host, "loud")["pane"], "#{history_size}")) > 1000
    for mode in ("loud", "restless"):
        assert "stopped by exit-command" in session(host, "stop", mode).stdout
        session(host, "resume", mode)
        assert f"listen, {mode}" in host.tmux.screen(status(host, mode)["pane"])
        session(host, "stop", mode)


def test_a_dry_run_changes_nothing_and_of_many_at_once_one_tells_each_difference(host: LocalHost) -> None:
    session(host, "create", "lost", "--program", "plain", "--prompt", "hello")
    eventually(lambda: status(host, "lost")["conversation"], "its conversation is recorded (C)")
    record = status(host, "lost")
    session(host, "stop", "lost")
    conversation = next((host.home / ".claude").rglob(f"{record['conversation']}.jsonl"))
    conversation.rename(host.home / "aside")
    session(host, "create", "killed", "--program", "plain")
    host.open("known", "python3", str(host.home / "plain.py"), "plain", "new", "by-hand")
    wanted = {("B", "dev"), ("D", "lost")}
    eventually(lambda: told(host, "--dry-run") == wanted, "both are told", lambda: told(host, "--dry-run"))
    before = kept(host)
    assert told(host, "--dry-run") == wanted
    assert kept(host) == before

    killed = status(host, "killed")
    os.kill(killed["pid"], signal.SIGKILL)
    eventually(lambda: not started(killed["pid"]), "it is gone")
    spoken = ("A", "killed") in told(host, "--dry-run")
    assert not spoken or time.time() - killed["acted"] >= RECENT_SECONDS

    answers = asyncio.run(reconciled_at_once(host, 8))
    drifts = [(drift.drift_class.value, drift.session) for told_to_one in answers for drift in told_to_one]
    assert sorted(set(drifts) - {("A", "killed")}) == sorted(wanted)
    assert len(drifts) == len(set(drifts)), "each is told once"
    (own,) = json.loads(session(host, "status", "--json").stdout)["hosts"]
    names = [seen["session"]["name"] for seen in own["sessions"]]
    assert sorted(names) == sorted(set(names))
    assert "gone from disk" in status(host, "lost")["last_visible_note"]
    eventually(lambda: status(host, "killed")["termination_mode"] == "auto-detected", "its end is noticed (A)")
    assert told(host) == set()
    (host.home / "aside").rename(conversation)


def test_programs_that_start_while_the_agent_dies_are_recorded_and_no_others(host: LocalHost) -> None:
    crash_at(host, "create", "orphan", "--program", "murderer")
    eventually(lambda: is_found(host, "orphan"), "it is found", lambda: host.log)
    first = status(host, "orphan")
    assert (first["status"], first["alive"]) == ("running", True)
    assert host.notify("--wait=60s", "orphan", "remember me").returncode == 0
    eventually(lambda: status(host, "orphan")["conversation"], "its conversation is recorded")
    session(host, "stop", "orphan")
    crash_at(host, "resume", "orphan")
    eventually(lambda: is_found(host, "orphan"), "it is found", lambda: host.log)
    again = status(host, "orphan")
    assert (again["status"], again["conversation"]) == ("running", first["argv"][-1])
    assert again["pid"] != first["pid"]
    assert told(host) == set()
    session(host, "stop", "orphan")

    host.kill()
    record = msgspec.convert({name: again[name] for name in AgentSession.__struct_fields__}, AgentSession)
    host.tmux.run("new-session", "-d", "-s", "ghost", "sleep", "30")
    pane = host.tmux.ask("ghost:", "#{pane_id}")
    unborn = {"pid": 0, "started": "", "pane": pane, "conversation": ""}
    with sqlite3.connect(host.agents / "mesh.db") as connection:
        for name, place in (("ghost", ""), ("sleeper", "ghost")):
            store.add(connection, msgspec.structs.replace(record, name=name, tmux_session=place, **unborn))
    (host.agents / "agent-sessions.toml").write_bytes(b"\xff\xfe not TOML")
    host.start()
    eventually(lambda: status(host, "sleeper")["status"] == "terminated", "it was never started", lambda: host.log)
    eventually(lambda: "ghost" not in host.tmux.run("list-sessions"), "its pane is closed")
    assert "No session" in session(host, "status", "ghost", code=2).stderr
    assert 'name = "sleeper"' in (host.agents / "agent-sessions.toml").read_text()
    assert [path.read_bytes() for path in host.agents.glob("agent-sessions.toml.corrupt-*")] == [b"\xff\xfe not TOML"]


def test_a_stop_that_the_agent_s_death_cuts_off_is_a_stop(host: LocalHost) -> None:
    go, leaving = host.home / "go", host.home / "leaving"
    go.touch()
    session(host, "create", "leaver", "--program", "held", "--prompt", "hello")
    eventually(lambda: status(host, "leaver")["conversation"], "its conversation is recorded")
    go.unlink()
    stopping = host.popen("agentmesh", "session", "stop", "leaver")
    eventually(leaving.exists, "it has taken its exit command", lambda: host.log)
    host.kill()
    assert stopping.wait(60)
    host.start()
    found = status(host, "leaver")
    assert (found["status"], found["alive"]) == ("running", True)
    go.touch()
    eventually(lambda: status(host, "leaver")["status"] == "stopped", "its end is noticed", lambda: host.log)
    session(host, "resume", "leaver")
    assert "hello" in host.tmux.screen(status(host, "leaver")["pane"])


def test_sessions_come_back_after_their_tmux_server_was_killed(host: LocalHost) -> None:
    names = ("north", "south")
    for name in names:
        session(host, "create", name, "--program", "plain", "--prompt", f"I am {name}")
    for name in names:
        eventually(lambda name=name: status(host, name)["conversation"], "its conversation is recorded")  # type: ignore[misc]
    host.tmux.run("kill-server")
    for name in names:
        eventually(lambda name=name: status(host, name)["status"] == "terminated", "its end is noticed")  # type: ignore[misc]
        session(host, "resume", name)
        assert f"I am {name}" in host.tmux.screen(status(host, name)["pane"])
        session(host, "stop", name)
