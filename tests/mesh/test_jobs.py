"""Jobs between two hosts: handed over, claimed once, reported on, followed from either side, through crashes."""

import json
import os
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from agentmesh.core.wire import JOBS, Hello, encode
from tests.eventually import eventually
from tests.mesh.hostile import Stranger
from tests.mesh.local import LocalHost

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


def claim_in_pane(host: LocalHost, window: str, job: str, then: str) -> str:
    """Run a script in a new window that claims a job, and goes on; returns the pane's id."""
    script = host.home / f"{window}.sh"
    script.write_text(f"PATH={host.environment['PATH']} agentmesh job claim {job}\n{then}\n")
    return host.open(window, "sh", str(script))


@pytest.mark.parametrize("home", [0, 1], ids=["of another host", "of the home"])
def test_a_worker_whose_pane_is_gone_is_said_to_be_lost(pair: Pair, home: int) -> None:
    left, right = pair[home], pair[1]
    job = submit(left, "right-dev-first")
    pane = claim_in_pane(right, f"leaver{home}", job, "exec cat")
    worker = f"right-dev-leaver{home}"
    eventually(lambda: state(left, job)["worker"] == worker, "it has claimed", lambda: right.log)
    right.tmux.run("kill-pane", "-t", pane)
    eventually(lambda: state(left, job)["lost"], "that is noticed", lambda: state(left, job))
    assert "nobody works on it: " in left.run("agentmesh", "job", "show", job).stdout


def test_a_worker_whose_program_has_ended_is_said_to_be_lost_though_its_pane_is_there(pair: Pair) -> None:
    left, right = pair
    job = submit(left, "right-dev-first")
    script = right.home / "inner.sh"
    script.write_text(f"PATH={right.environment['PATH']} agentmesh job claim {job}\nexec sleep 1000\n")
    right.open("outer", "sh", "-c", f"sh {script}; exec cat")
    eventually(lambda: state(left, job)["worker"] == "right-dev-outer", "it has claimed", lambda: right.log)

    eventually(lambda: _program(right, job) == "sleep", "what goes on is the worker", lambda: _program(right, job))
    right.kill()
    right.start()
    os.kill(_worker(right, job), signal.SIGKILL)
    said = "its program (sleep) has ended"
    eventually(lambda: state(left, job)["lost"] == said, "that is noticed", lambda: (state(left, job), right.log))
    assert "right-dev-outer" in right.addresses()
    assert "not from right-dev-outer" in report(right, job, "progress").stderr
    back = f"PATH={right.environment['PATH']} agentmesh job event {job} progress -m back; exec cat"
    right.tmux.run("respawn-pane", "-k", "-t", "dev:outer", back)
    eventually(lambda: state(left, job)["message"] == "back", "it works on", lambda: state(left, job))
    assert state(left, job)["lost"] == ""


def _worker(host: LocalHost, job: str) -> int:
    """Return the process that a host holds for a job's worker; 0 when there is none."""
    with closing(sqlite3.connect(host.agents / "mesh.db", timeout=10)) as connection:
        row = connection.execute("SELECT pid FROM workers WHERE job = ?", (job,)).fetchone()
    return int(row[0]) if row else 0


def _program(host: LocalHost, job: str) -> str:
    return Path(f"/proc/{_worker(host, job)}/comm").read_text().strip() if _worker(host, job) else "nobody"


def test_a_job_whose_brief_reaches_nobody_is_there_and_says_so(pair: Pair) -> None:
    left, right = pair
    eventually(lambda: "right-dev-first" in left.addresses(), "left knows the pane")
    left.keep_port()
    right.keep_port()
    right.kill()
    try:
        (left.home / "plan.txt").write_text("one, two")
        words = ("--brief", "see the plan", "--attach", "plan.txt", "--wait")
        done = left.run("agentmesh", "job", "submit", "right-dev-first", *words)
        job = done.stdout.strip()
        assert done.returncode == 4
        assert "the brief has not reached right-dev-first: unreachable" in done.stderr
        shown = left.run("agentmesh", "job", "show", job).stdout
        assert f"{job}  registered" in shown
        assert "nobody works on it: its brief has reached nobody: right-dev-first: unreachable" in shown
        assert "lost by left" in left.run("agentmesh", "job", "log", job).stdout
    finally:
        right.start()
    left.run("agentmesh", "job", "cancel", job)
    eventually(left.all_up, "the hosts are linked")
    again = left.run("agentmesh", "job", "retry", job)
    assert again.returncode == 0
    eventually(lambda: list((right.home / ".agent-inbox" / "left").glob("plan*")), "what was attached is sent again")


def test_what_can_not_be_sent_makes_no_job(pair: Pair) -> None:
    left, _ = pair

    def count() -> int:
        return len(json.loads(left.run("agentmesh", "job", "list", "--all", "--json").stdout))

    before = count()
    for words in (
        ("nobody", "--brief", "x"),
        ("left-dev-first", "--brief", ""),
        ("left-dev-first", "--brief", "x" * 70_000),
        ("left-dev-first", "--brief", "x", "--attach", "no-such-file"),
        ("left-dev-first", "--brief", "@no-such-file"),
        ("left-dev-first", "--brief", "x", "--title", "t" * 201),
    ):
        done = left.run("agentmesh", "job", "submit", *words)
        assert (done.returncode in {1, 2}, done.stdout) == (True, ""), done
        assert "Traceback" not in done.stderr
        assert "fault" not in done.stderr
    assert count() == before


def test_a_brief_may_be_a_file_and_a_group_may_be_the_address(pair: Pair) -> None:
    left, right = pair
    (left.home / "brief.md").write_text("build it\nand test it\n")
    right.open("builder-a", "cat")
    right.open("builder-b", "cat")
    eventually(lambda: {"right-dev-builder-a", "right-dev-builder-b"} <= set(left.addresses()), "both are known")
    done = left.run("agentmesh", "job", "submit", "right-dev-builder-*", "--brief", "brief.md")
    job = done.stdout.strip()
    assert state(left, job)["brief"] == "build it\nand test it"
    told = json.loads(left.run("agentmesh", "job", "show", job, "--json").stdout)["briefs"]
    assert sorted(receipt["to"] for receipt in told) == ["right-dev-builder-a", "right-dev-builder-b"]
    name = {"AGENT_NAME": "b"}
    assert right.run("agentmesh", "job", "claim", job, environment={"AGENT_NAME": "a"}).returncode == 0
    assert "a has claimed the job already" in right.run("agentmesh", "job", "claim", job, environment=name).stderr


def test_a_command_about_a_job_that_is_not_here_says_where_to_go(pair: Pair) -> None:
    left, right = pair
    job = submit(left, "right-dev-first")
    for words in (("cancel", job), ("verify", job)):
        done = right.run("agentmesh", "job", *words)
        assert (done.returncode, f"The home of {job} is left: run the command there." in done.stderr) == (1, True)
    for command, *rest in (("show", "zz"), ("claim", ""), ("event", "zz", "started")):
        assert "none do. See `agentmesh job list --all`" in right.run("agentmesh", "job", command, *rest).stderr
    unknown = "nobody-0000000000000000"
    assert "nobody can't be reached" in right.run("agentmesh", "job", "claim", unknown).stderr
    assert right.run("agentmesh", "job", "claim", job).returncode == 0
    assert right.run("agentmesh", "job", "event", job[-6:], "started").returncode == 0  # it has become known here


def test_a_host_that_speaks_an_older_protocol_is_said_to_be_too_old(pair: Pair) -> None:
    left, _ = pair
    hello = Hello(host="older", version="0", newest=JOBS - 1)
    with Stranger(left, encode(hello)) as older:
        older.hear_of(Hello)
        done = left.run("agentmesh", "job", "show", "older-0000000000000000")
        assert (done.returncode, "too old for jobs. Upgrade it there." in done.stderr) == (4, True), done


def test_a_claim_whose_home_does_not_answer_is_not_said_to_have_won(pair: Pair) -> None:
    left, right = pair
    job, other = submit(left, "right-dev-first"), submit(left, "right-dev-first")
    assert right.run("agentmesh", "job", "show", other).returncode == 0
    left.keep_port()
    right.keep_port()
    left.kill()
    try:
        unasked = right.run("agentmesh", "job", "claim", job)
        assert (unasked.returncode, unasked.stdout) == (4, "")
        assert "left can't be reached" in unasked.stderr
        asked = right.run("agentmesh", "job", "claim", other, environment={"AGENT_NAME": "w"})
        assert (asked.returncode, asked.stdout) == (7, "")
        assert "not known yet: left has not answered" in asked.stderr
    finally:
        left.start()
    eventually(lambda: state(right, other)["worker"] == "w", "the home has judged the claim")
    assert state(right, job)["worker"] == ""


def test_waiting_goes_on_while_the_home_is_away(pair: Pair) -> None:
    left, right = pair
    job = submit(left, "right-dev-first")
    left.keep_port()
    right.keep_port()
    with right.popen("agentmesh", "job", "wait", job, "--timeout", "60s") as waiting:
        eventually(lambda: "registered by left" in right.log, "it waits", lambda: right.log[-2000:])
        left.kill()
        eventually(lambda: "Still waiting" in right.log, "it has seen that the home is away", lambda: right.log[-2000:])
        left.start()
        left.run("agentmesh", "job", "cancel", job)
        assert waiting.wait(60) == 9


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
    assert fresh.run("agentmesh", "job", "verify", job).returncode == 0
    assert record.read_bytes() == whole
