"""Sessions from their first word to their end: spoken to, captured, watched, closed, their conversations removed."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentmesh.config import Paths
from agentmesh.core.errand import Watch
from agentmesh.core.session_request import NewsRequest
from tests.eventually import eventually
from tests.mesh.local import LocalHost
from tests.mesh.sessions import furnish, session, status, told

pytestmark = pytest.mark.tmux
ASK = "import asyncio, pathlib, sys; from agentmesh.adapters import ipc; path, *words = sys.argv[1:]"
ASK = f"{ASK}; asyncio.run(ipc.ask(pathlib.Path(path), *words))"


@pytest.fixture(scope="module")
def host(root: Path) -> Iterator[LocalHost]:
    host = LocalHost("solo", root)
    furnish(host, ["plain"])
    try:
        host.start()
        yield host
    finally:
        host.end()


def create(host: LocalHost, name: str) -> str:
    """Start a session in a folder of its own, and return its conversation, once it is recorded."""
    folder = host.home / name
    folder.mkdir()
    session(host, "create", name, "--program", "plain", "--cwd", str(folder), "--prompt", "hello")
    eventually(lambda: status(host, name)["conversation"], "its conversation is recorded", lambda: host.log)
    return str(status(host, name)["conversation"])


def lifecycle(host: LocalHost, name: str) -> str:
    return str(status(host, name)["lifecycle"])


def encoded(question: Watch | NewsRequest) -> str:
    return msgspec.json.encode(question).decode()


def asking(host: LocalHost) -> int:
    """Return how many commands the agent serves: /proc/net/unix has a line for each, and one for who listens."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(f" {Paths(host.agents).socket}") for line in lines) - 1


def conversations(host: LocalHost, name: str) -> list[Path]:
    """Return the files of all conversations of a session's folder."""
    return sorted((host.home / ".claude" / "projects").glob(f"*-{name}/*"))


def test_a_worker_is_closed_once_it_has_reported_its_jobs_are_done_and_it_is_saved(host: LocalHost) -> None:
    folder = host.home / "worker"
    folder.mkdir()
    session(host, "create", "worker", "--program", "plain", "--cwd", str(folder))
    refused = session(host, "close", "worker", code=3).stderr
    assert "its report has not come" in refused
    assert "not saved" in refused
    assert lifecycle(host, "worker") == "working"
    job = host.run("agentmesh", "job", "submit", "worker", "--brief", "count").stdout.split()[0]
    session(host, "send", "worker", "please run agentmesh session", "ready-to-close", "--wait", "30s")
    eventually(lambda: lifecycle(host, "worker") == "ready-to-close", "its report came", lambda: host.log)
    session(host, "send", "worker", f"please run agentmesh job claim {job}", "--wait", "30s")
    claimed = f"its job {job} is claimed"
    eventually(lambda: claimed in session(host, "close", "worker", code=3).stderr, "its job is open", lambda: host.log)
    assert status(host, "worker")["alive"]
    session(host, "send", "worker", f"please run agentmesh job event {job} completed", "--wait", "30s")
    done = host.run("agentmesh", "job", "wait", job, "--timeout", "30s")
    assert done.returncode == 0
    eventually(lambda: status(host, "worker")["conversation"], "its conversation is recorded", lambda: host.log)
    assert "closed by exit-command" in session(host, "close", "worker").stdout
    assert lifecycle(host, "worker") == "closed"
    session(host, "close", "worker", code=1)
    session(host, "resume", "worker")
    assert lifecycle(host, "worker") == "working"
    outside = session(host, "ready-to-close", code=2).stderr
    assert "its own pane" in outside
    assert "closed by" in session(host, "close", "worker", "--force").stdout
    session(host, "send", "worker", "too late", code=1)


def test_a_completed_job_closes_its_workers_session_when_a_monitor_is_told_to(host: LocalHost) -> None:
    create(host, "paid")
    jobs = [host.run("agentmesh", "job", "submit", "paid", "--brief", "x").stdout.split()[0] for _ in range(2)]
    words = [word for job in jobs for word in ("--subscribe", job)]
    heard = watching(host, *words, "--close", interval="0.2")
    assert host.run("agentmesh", "job", "cancel", jobs[1]).returncode == 0
    eventually(lambda: told(heard(), "not-closed", job=jobs[1]), "nobody had claimed it", heard)
    assert "nobody has claimed it" in told(heard(), "not-closed")[0]["reason"]
    session(host, "send", "paid", f"please run agentmesh job event {jobs[0]} completed", "--wait", "30s")
    eventually(lambda: told(heard(), "closed", job=jobs[0]), "its session is closed", heard)
    assert [line["type"] for line in told(heard(), "job", job=jobs[0])] == ["registered", "completed"]
    assert lifecycle(host, "paid") == "closed"


def test_a_job_whose_events_are_not_signed_closes_nothing(host: LocalHost) -> None:
    create(host, "wary")
    made = host.run("agentmesh", "job", "submit", "wary", "--brief", "x", "--no-auth")
    job = made.stdout.split()[0]
    session(host, "send", "wary", f"please run agentmesh job event {job} completed", "--wait", "30s")
    heard = watching(host, "--jobs", "--subscribe", job, "--close", interval="0.2")
    eventually(lambda: told(heard(), "not-closed", job=job), "it says why not", heard)
    assert "aren't signed" in told(heard(), "not-closed")[0]["reason"]
    assert status(host, "wary")["alive"]
    later = host.run("agentmesh", "job", "submit", "solo-dev-first", "--brief", "x").stdout.split()[0]
    eventually(lambda: told(heard(), "job", job=later), "a later job is followed, too", heard)


def test_two_monitors_tell_each_drift_once_and_go_on_over_a_restart(host: LocalHost) -> None:
    create(host, "first")
    job = host.run("agentmesh", "job", "submit", "solo-dev-first", "--brief", "x").stdout.split()[0]
    both = [watching(host, "--subscribe", job, interval="0.2"), watching(host)]
    eventually(lambda: told(both[0](), "job"), "it follows a job", both[0])
    for heard in both:
        eventually(lambda heard=heard: told(heard(), "heartbeat"), "it watches", heard)  # type: ignore[misc]
    os.kill(status(host, "first")["pid"], signal.SIGKILL)
    pane = host.open("by-hand", sys.executable, str(host.home / "plain.py"), "plain", "new", "by-hand")
    for heard in both:
        for wanted in ("A", "B"):
            kind = {"class": wanted}
            eventually(lambda heard=heard, kind=kind: told(heard(), "drift", **kind), f"{wanted} is told", heard)  # type: ignore[misc]
    host.kill()
    for heard in both:
        eventually(lambda heard=heard: told(heard(), "agent-away"), "it says that the agent is away", heard)  # type: ignore[misc]
    host.start()
    for heard in both:
        eventually(lambda heard=heard: told(heard(), "agent-back"), "it goes on", heard)  # type: ignore[misc]
    assert told(both[0](), "polling", job=job)
    assert host.run("agentmesh", "job", "cancel", job).returncode == 0
    eventually(lambda: told(both[0](), "job", type="cancelled"), "the job is followed again", both[0])
    host.tmux.run("kill-pane", "-t", pane)
    for heard in both:
        gone = {"class": "A", "session": "dev"}
        eventually(lambda heard=heard, gone=gone: told(heard(), "drift", **gone), "the end is told", heard)  # type: ignore[misc]
        drifts = [(line["class"], line["session"]) for line in told(heard(), "drift")]
        assert sorted(drifts) == [("A", "dev"), ("A", "first"), ("B", "dev")]


def test_a_monitor_ends_when_it_was_told_to(host: LocalHost) -> None:
    idle = session(host, "monitor", "--idle-timeout", "1", code=5).stdout
    assert json.loads(idle.splitlines()[-1])["reason"] == "idle"
    over = session(host, "monitor", "--idle-timeout", "0", "--timeout", "1").stdout
    assert json.loads(over.splitlines()[-1])["reason"] == "timeout"
    assert "none do" in session(host, "monitor", "--subscribe", "solo-none", code=2).stderr


def test_the_agent_works_on_for_nobody_who_has_gone(host: LocalHost) -> None:
    job = host.run("agentmesh", "job", "submit", "solo-dev-first", "--brief", "x").stdout.split()[0]
    watch = Watch(job=job, beyond=9, patience=600)
    for words in (("session", "news", encoded(NewsRequest(patience=600))), ("job", "watch", encoded(watch))):
        eventually(lambda: asking(host) == 0, "nobody asks")
        waiting = subprocess.Popen([sys.executable, "-c", ASK, str(Paths(host.agents).socket), *words])
        try:
            eventually(lambda: asking(host) == 1, "it is asked")
            session(host, "reconcile", "--once")
            assert waiting.poll() is None
        finally:
            waiting.kill()
            waiting.wait()
        eventually(lambda: asking(host) == 0, "the agent asks on for nobody", lambda: host.log)


def test_a_conversation_is_removed_when_that_is_confirmed_and_a_resume_begins_anew(host: LocalHost) -> None:
    identifier = create(host, "secret")
    (file,) = conversations(host, "secret")
    other = file.with_name("other.jsonl")
    other.write_text(file.read_text().replace(identifier, "other"))
    elsewhere = file.with_name("elsewhere.jsonl")
    elsewhere.symlink_to(file)
    assert "Say --yes" in session(host, "stop", "secret", "--purge", code=1).stderr
    assert "--yes goes with --purge" in session(host, "stop", "secret", "--yes", code=1).stderr
    assert status(host, "secret")["alive"]
    for answer, left in (("n", [elsewhere, file, other]), ("y", [elsewhere, other])):
        pane = host.tmux.new_window("asked", "sh")
        host.tmux.run("resize-window", "-t", pane, "-x", "250", "-y", "50")
        program = Path(sys.executable).with_name("agentmesh")
        host.tmux.run("send-keys", "-t", pane, "-l", f"{program} session stop secret --purge; echo ended''-$?")
        host.tmux.run("send-keys", "-t", pane, "Enter")

        def screen(pane: str = pane) -> str:
            return host.tmux.screen(pane)

        eventually(lambda screen=screen: "[y/N]" in screen(), "it asks", screen)  # type: ignore[misc]
        assert identifier in screen()
        host.tmux.run("send-keys", "-t", pane, answer, "Enter")
        eventually(lambda screen=screen: "ended-0" in screen(), "it ends", screen)  # type: ignore[misc]
        assert conversations(host, "secret") == sorted(left)
        host.tmux.run("kill-pane", "-t", pane)
    assert status(host, "secret")["purged"] == identifier
    assert "begins anew" in session(host, "resume", "secret").stdout
    assert status(host, "secret")["argv"][-2] == "new"
    assert identifier not in status(host, "secret")["argv"]
    assert "nothing is removed" in session(host, "stop", "secret", "--purge", "--yes").stdout
    assert conversations(host, "secret") == [elsewhere, other]


def test_a_capture_is_private_and_says_what_tmux_has_lost(host: LocalHost) -> None:
    session(host, "create", "loud", "--program", "shell")
    pane = status(host, "loud")["pane"]
    host.tmux.run("send-keys", "-t", pane, "-l", "seq 100000; echo ''done")
    host.tmux.run("send-keys", "-t", pane, "Enter")
    eventually(lambda: "\ndone" in host.tmux.screen(pane), "it has printed all", lambda: host.tmux.screen(pane))
    last = session(host, "capture", "loud", "--lines", "3")
    assert last.stdout.splitlines()[:2] == ["100000", "done"]
    found = session(host, "capture", "loud", "--full")
    path = Path(found.stdout.strip())
    assert "older lines may be lost: tmux keeps 2000" in found.stderr
    lines = path.read_text().splitlines()
    assert lines[-3:-1] == ["100000", "done"]
    assert len(lines) > 1000
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]
    session(host, "stop", "loud", "--force")
    assert "Only a pane" in session(host, "capture", "loud", code=1).stderr


Heard = Callable[[], list[dict[str, Any]]]
_MONITORS: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def monitors() -> Iterator[None]:
    """End the monitors that a test has started."""
    yield
    while _MONITORS:
        monitor = _MONITORS.pop()
        monitor.kill()
        monitor.wait()


def watching(host: LocalHost, *words: str, interval: str = "15") -> Heard:
    """Start a monitor; return what returns what it has said so far."""
    output = host.home / f"monitor-{os.urandom(4).hex()}"
    with output.open("wb") as file:
        _MONITORS.append(
            subprocess.Popen(
                ["agentmesh", "session", "monitor", *words],
                env=host.environment | {"RECONCILE_POLL_INTERVAL": interval},
                cwd=host.home,
                stdout=file,
                stderr=file,
            )
        )
    return lambda: [json.loads(line) for line in output.read_text().splitlines() if line.endswith("}")]
