"""Jobs between two hosts: handed over, claimed once, reported on, followed from either side, through crashes."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tmux
Pair = tuple[LocalHost, LocalHost]


def submit(host: LocalHost, address: str, *words: str) -> str:
    """Submit a job; return its id."""
    done = host.run("agentmesh", "job", "submit", address, "--brief", "review the migration", *words)
    assert done.returncode == 0, done
    return done.stdout.split()[0]


def report(host: LocalHost, job: str, *words: str, name: str = "") -> subprocess.CompletedProcess[str]:
    return host.run("agentmesh", "job", "event", job, *words, environment={"AGENT_NAME": name} if name else {})


def state(host: LocalHost, job: str) -> dict[str, object]:
    return dict(json.loads(host.run("agentmesh", "job", "show", job, "--json").stdout)["job"])


def test_a_job_is_handed_over_claimed_reported_on_and_followed_from_both_hosts(pair: Pair) -> None:
    left, right = pair
    pane = right.open("worker", "cat")
    eventually(lambda: "right-dev-worker" in left.addresses(), "left knows the pane")
    job = submit(left, "right-dev-worker", "--title", "migration")
    assert job.startswith("left-")
    briefs = right.home / ".agent-inbox" / "left"
    eventually(lambda: "file dropped at" in right.tmux.screen(pane), "the brief is there, as a file of several lines")
    (brief,) = (path.read_text() for path in briefs.iterdir())
    assert "\nreview the migration\n" in brief
    assert f"agentmesh job claim {job}" in brief
    with left.popen("agentmesh", "job", "wait", job) as waiting:
        assert right.run("agentmesh", "job", "claim", job).returncode == 0
        assert report(right, job, "progress", "--percent", "40", "-m", "half").stdout == "progress: accepted\n"
        assert (state(left, job)["percent"], state(right, job)["worker"]) == (40, "right")
        assert report(right, job, "completed", "--data", '{"rows": 7}').returncode == 0
        assert waiting.wait(20) == 0
    assert right.run("agentmesh", "job", "wait", job).returncode == 0
    told = right.run("agentmesh", "job", "log", job).stdout.splitlines()
    assert [line.split()[1] for line in told] == ["registered", "claimed", "progress", "completed"]
    assert "40 %, half" in told[2]
    assert left.run("agentmesh", "job", "verify", job).stdout == f"{job}: 4 events, all as they were accepted\n"


def test_of_many_who_claim_at_once_one_does(pair: Pair) -> None:
    left, right = pair
    job = submit(left, "right-dev-first")

    def claim(number: int) -> int:
        host = pair[number % 2]
        return host.run("agentmesh", "job", "claim", job, environment={"AGENT_NAME": f"w{number}"}).returncode

    with ThreadPoolExecutor(6) as threads:
        codes = list(threads.map(claim, range(12)))
    assert sorted(codes) == [0] + 11 * [4]
    winner = state(left, job)["worker"]
    assert winner == f"w{codes.index(0)}"
    loser = next(number for number, code in enumerate(codes) if code)
    assert f"not from {winner}" in report(right, job, "completed", name=f"w{loser}").stderr
    assert len(json.loads(left.run("agentmesh", "job", "show", job, "--json").stdout)["dropped"]) == 12


def test_what_is_reported_while_the_home_is_away_is_told_when_it_is_back(pair: Pair) -> None:
    left, right = pair
    job = submit(left, "right-dev-first")
    assert right.run("agentmesh", "job", "claim", job).returncode == 0
    left.keep_port()
    left.kill()
    told = report(right, job, "started")
    assert (told.returncode, told.stdout) == (0, "started: it is told to left as soon as that can be reached\n")
    right.kill()
    right.start()
    report(right, job, "progress", "--percent", "9")
    left.start()
    eventually(lambda: state(left, job).get("percent") == 9, "the home has all", lambda: state(left, job))
    assert state(left, job)["state"] == "started"
    assert left.run("agentmesh", "job", "verify", job).stdout.startswith(f"{job}: 4 events")


def test_a_host_that_a_job_is_not_for_is_not_told_its_token(pair: Pair) -> None:
    left, right = pair
    job = submit(left, "left-dev-first")
    claimed = right.run("agentmesh", "job", "claim", job)
    assert (claimed.returncode, claimed.stderr) == (
        4,
        "job: The event isn't accepted: this host is none of those that the job is for.\n",
    )
    assert state(left, job)["state"] == "registered"


def test_a_token_is_in_its_file_alone(pair: Pair) -> None:
    left, right = pair
    job = submit(left, "right-dev-first")
    assert right.run("agentmesh", "job", "claim", job).returncode == 0
    token = (left.agents / "jobs" / job / "token").read_text().strip()
    assert len(token) == 64
    shown = [left.log, right.log, left.run("agentmesh", "job", "show", job, "--json").stdout]
    shown += [path.read_text() for path in (left.agents / "log").iterdir()]
    shown += [path.read_text() for path in (left.agents / "jobs" / job).iterdir() if path.name != "token"]
    assert not any(token in text for text in shown)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (left.agents / "jobs").rglob("*"))


def test_each_end_has_its_exit_code(pair: Pair) -> None:
    left, _ = pair
    job = submit(left, "left-dev-first")
    assert left.run("agentmesh", "job", "wait", job, "--timeout", "1s").returncode == 5
    assert left.run("agentmesh", "job", "cancel", job, "-m", "not needed").stdout == "cancelled: not needed\n"
    assert left.run("agentmesh", "job", "wait", job).returncode == 9
    again = left.run("agentmesh", "job", "retry", job).stdout.split()[0]
    assert state(left, again)["retry_of"] == job
    report(left, again, "error", "-m", "no such table")
    assert left.run("agentmesh", "job", "wait", again).returncode == 8
    late = report(left, again, "completed")
    assert "the job has ended already: error" in late.stderr
    short = submit(left, "left-dev-first", "--timeout", "1s")
    assert left.run("agentmesh", "job", "wait", short).returncode == 10
    assert left.run("agentmesh", "job", "show", "no-such-0000000000000000").returncode in {2, 4}
    assert left.run("agentmesh", "job", "event", again, "finished").returncode == 1


def test_a_worker_whose_pane_is_gone_is_said_to_be_lost(pair: Pair) -> None:
    left, right = pair
    script = right.home / "work.sh"
    job = submit(left, "right-dev-first")
    script.write_text(f"PATH={right.environment['PATH']} agentmesh job claim {job}\nexec cat\n")
    pane = right.open("leaver", "sh", str(script))
    eventually(lambda: state(left, job).get("worker") == "right-dev-leaver", "it has claimed", lambda: right.log)
    right.tmux.run("kill-pane", "-t", pane)
    eventually(lambda: "is gone" in str(state(left, job).get("lost")), "that is noticed", lambda: state(left, job))
    assert "the worker is gone" in left.run("agentmesh", "job", "show", job).stdout


def test_a_record_that_was_changed_is_found(pair: Pair) -> None:
    left, _ = pair
    job = submit(left, "left-dev-first")
    report(left, job, "progress", "-m", "one")
    report(left, job, "progress", "-m", "two")
    record: Path = left.agents / "jobs" / job / "events.ndjson"
    whole = record.read_bytes()
    record.write_bytes(whole.replace(b"one", b"eno"))
    found = left.run("agentmesh", "job", "verify", job)
    assert (found.returncode, "isn't what was written" in found.stderr) == (4, True)
    record.write_bytes(whole[: whole.rfind(b"\n", 0, -1) + 1])
    assert "3 events were accepted, and not this one" in left.run("agentmesh", "job", "verify", job).stderr


def test_what_a_crash_has_left_of_a_record_is_made_whole(fresh: LocalHost) -> None:
    fresh.start()
    job = submit(fresh, f"{fresh.name}-dev-first")
    report(fresh, job, "progress")
    record: Path = fresh.agents / "jobs" / job / "events.ndjson"
    whole = record.read_bytes()
    fresh.kill()
    record.write_bytes(whole[:-30])
    fresh.start()
    assert record.read_bytes() == whole
