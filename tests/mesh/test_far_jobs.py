"""A worker is closed by the word of its jobs' home, though that is another host, away, or late to answer."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost, befriend
from tests.mesh.sessions import furnish, session, status

pytestmark = pytest.mark.tmux


@pytest.fixture(scope="module")
def home(root: Path) -> Iterator[LocalHost]:
    host = LocalHost("home", root)
    try:
        host.start()
        host.keep_port()
        yield host
    finally:
        host.end()


@pytest.fixture(scope="module")
def host(root: Path, home: LocalHost) -> Iterator[LocalHost]:
    """Yield the host of the workers, with a link to the jobs' home."""
    host = LocalHost("desk", root)
    furnish(host, ["plain"])
    try:
        host.start()
        befriend([home, host])
        yield host
    finally:
        host.end()


def hire(home: LocalHost, host: LocalHost, name: str) -> str:
    """Start a worker that has claimed a job of the other host; return the job."""
    (host.home / name).mkdir()
    session(host, "create", name, "--program", "plain", "--cwd", str(host.home / name), "--prompt", "hello")
    eventually(lambda: status(host, name)["conversation"], "its conversation is recorded", lambda: host.log)
    address = status(host, name)["address"]
    eventually(lambda: address in home.addresses(), "it is known", home.addresses)
    job = home.run("agentmesh", "job", "submit", address, "--brief", "count").stdout.split()[0]
    tell(host, name, "job", "claim", job)
    refused(host, name, f"its job {job} is claimed")
    return job


def tell(host: LocalHost, name: str, *words: str) -> None:
    """Have a worker run one of our commands."""
    session(host, "send", name, "please run agentmesh", *words, "--wait", "30s")


def refused(host: LocalHost, name: str, reason: str) -> None:
    """Wait until a close is refused for this reason."""
    eventually(lambda: reason in session(host, "close", name, code=3).stderr, reason, lambda: host.log)
    assert status(host, name)["alive"]


def state(home: LocalHost, job: str) -> str:
    return home.run("agentmesh", "job", "show", job).stdout.splitlines()[0].split()[1]


def test_a_worker_is_closed_when_the_home_of_its_job_says_that_it_is_done(home: LocalHost, host: LocalHost) -> None:
    job = hire(home, host, "prompt")
    refused(host, "prompt", "its report has not come")
    tell(host, "prompt", "session", "ready-to-close")
    eventually(lambda: status(host, "prompt")["lifecycle"] == "ready-to-close", "its report came", lambda: host.log)
    refused(host, "prompt", f"its job {job} is claimed (see `agentmesh job show {job}`)")
    assert home.run("agentmesh", "job", "cancel", job).returncode == 0
    assert "closed by exit-command" in session(host, "close", "prompt").stdout

    forgotten = hire(home, host, "patient")
    tell(host, "patient", "session", "ready-to-close")
    home.kill()
    refused(host, "patient", f"whether its job {forgotten} is done is not known")
    with sqlite3.connect(home.agents / "mesh.db") as database:
        database.execute("DELETE FROM jobs WHERE id = ?", (forgotten,))
    database.close()
    home.start()
    eventually(host.all_up, "the link is back", host.status)
    for words in (("job", "show", forgotten), ("session", "monitor", "--subscribe", forgotten)):
        unknown = host.run("agentmesh", *words)
        assert (unknown.returncode, f"{forgotten!r}: none do" in unknown.stderr) == (2, True), unknown
    assert "closed by exit-command" in session(host, "close", "patient").stdout


def test_a_job_completed_while_its_home_was_away_counts_when_the_home_accepts_it(
    home: LocalHost, host: LocalHost
) -> None:
    other, job = hire(home, host, "again"), hire(home, host, "late")
    home.kill()
    tell(host, "late", "job", "event", job, "completed")
    output = host.home / "late" / "commands.out"
    eventually(lambda: "as soon as that can be reached" in output.read_text(), "it has said so", output.read_text)
    refused(host, "late", f"whether its job {job} is done is not known")
    assert status(host, "late")["lifecycle"] == "working"
    tell(host, "again", "job", "event", other, "completed")
    output = host.home / "again" / "commands.out"
    eventually(lambda: "as soon as that can be reached" in output.read_text(), "it has said so", output.read_text)
    session(host, "stop", "again")
    session(host, "resume", "again")
    home.start()
    for each in (other, job):
        eventually(lambda each=each: state(home, each) == "completed", "it has come", lambda: home.log)  # type: ignore[misc]
    eventually(lambda: status(host, "late")["lifecycle"] == "ready-to-close", "its report counts", lambda: host.log)
    assert "closed by exit-command" in session(host, "close", "late").stdout
    assert status(host, "again")["lifecycle"] == "working", "what it did before it was brought back is no report"
