"""Reviews over two hosts: asked, answered, handed back, asked again, passed; through crashes, and by nobody else."""

import json
import os
import re
import subprocess
from typing import Any

import pytest

from agentmesh.core.review import EXIT_CODES, Standing
from tests.eventually import eventually
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux
GONE = re.compile("is gone|has ended")
"""A pane's end, or its program's: whichever is seen first, or last, is said."""
Pair = tuple[LocalHost, LocalHost]

REVIEWERS = "left-dev-rev,right-dev-rev"
PASSED, AWAITED, NOT_PASSED, CANCELLED, CHANGED = (EXIT_CODES[each] for each in Standing)


@pytest.fixture
def pair(pair: Pair) -> Pair:
    """Two hosts, each with a shell in which a reviewer works; on the left a worker, too."""
    for host in pair:
        for window in ("rev", "worker"):
            if f"{host.name}-dev-{window}" not in host.addresses():
                pane = host.open(window, *(["sh"] if window == "rev" else ["cat"]))
                host.tmux.run("set-option", "-w", "-t", pane, "@agent-role", "team")
    left, right = pair
    eventually(lambda: set(left.addresses()) == set(right.addresses()), "each knows the other's panes")
    (left.home / "change.diff").write_text(f"+{os.urandom(8).hex()}\n")
    return pair


def start(host: LocalHost, reviewers: str = REVIEWERS, *words: str, worker: str = "left-dev-worker") -> str:
    """Start a review of change.diff; return its id."""
    done = host.run(
        "agentmesh", "review", "start", "--diff", "change.diff", "--worker", worker, "--reviewers", reviewers, *words
    )
    assert done.returncode == 0, done
    return done.stdout.strip()


def show(host: LocalHost, review: str) -> dict[str, Any]:
    return dict(json.loads(host.run("agentmesh", "review", "show", review, "--json").stdout))


def asks(host: LocalHost, review: str) -> dict[str, dict[str, Any]]:
    """Return the present round, by reviewer, when all that belong to it have been asked."""

    def all_asked() -> bool:
        return all(ask.get("is_sent") for ask in show(host, review)["rounds"][-1]["asks"])

    eventually(all_asked, "all are asked", lambda: show(host, review))
    return {ask["reviewer"]["address"]: ask for ask in show(host, review)["rounds"][-1]["asks"]}


def in_pane(host: LocalHost, command: str, window: str = "rev") -> tuple[int, str]:
    """Run a command in the shell of a window; return its exit code and what it says."""
    output = host.home / "output"
    output.unlink(missing_ok=True)
    line = f"cd {host.home}; PATH={host.environment['PATH']}; ({command}) >part 2>&1; echo $? >>part; mv part output"
    host.tmux.run("send-keys", "-t", f"dev:{window}", "C-u", line, "Enter")
    eventually(output.exists, f"{command} ends", lambda: f"{host.tmux.screen(f'dev:{window}')}\n{host.log}")
    *said, code = output.read_text().splitlines()
    return int(code), "\n".join(said)


def say(host: LocalHost, job: str, what: str, feedback: str = "") -> tuple[int, str]:
    """Give a verdict from the reviewer's pane of a host."""
    return in_pane(host, f"agentmesh review verdict {job} {what} --feedback '{feedback}'")


def gate(host: LocalHost, *words: str) -> int:
    return host.run("agentmesh", "review", "gate", *words).returncode


def briefs(host: LocalHost, review: str) -> list[str]:
    """Return the diffs that were dropped on a host for a review, and the messages to its panes that name it."""
    listed = json.loads(host.run("agentmesh", "inbox", "--json").stdout)
    return [letter["message"]["body"] for letter in listed if review in letter["message"]["body"]]


def test_not_pass_goes_back_to_the_worker_once_and_a_changed_diff_is_asked_again_until_all_pass(pair: Pair) -> None:
    left, right = pair
    review = start(left, REVIEWERS, "--brief", "mind the locks")
    first = asks(left, review)
    (body,) = briefs(right, review)
    assert "mind the locks\n" in body
    assert f"\nClaim it: agentmesh job claim {first['right-dev-rev']['job']}\n" in body
    path = body.split("file dropped at ~/")[1].split(" ")[0]
    assert (right.home / path).read_bytes() == (left.home / "change.diff").read_bytes()
    assert gate(left, review) == AWAITED
    with left.popen("agentmesh", "review", "wait", review) as waiting:
        assert in_pane(right, f"agentmesh job claim {first['right-dev-rev']['job']}")[0] == 0
        assert say(right, first["right-dev-rev"]["job"], "not-pass", "line 3 leaks")[0] == 0
        assert show(left, review)["state"] == "asking"
        assert say(left, first["left-dev-rev"]["job"], "pass", "fine by me")[0] == 0
        eventually(lambda: show(left, review)["rounds"][0]["is_told"], "the worker is told")
        assert (gate(left, review), show(left, review)["state"]) == (NOT_PASSED, "revising")
        (feedback,) = [body for body in briefs(left, review) if "NOT PASS" in body]
        assert "--- right-dev-rev: not-pass\n    line 3 leaks\n" in feedback
        assert "--- left-dev-rev: pass\n    fine by me\n" in feedback
        assert f"agentmesh review update {review}" in feedback
        assert left.run("agentmesh", "review", "update", review).returncode == 1

        (left.home / "change.diff").write_text("+mended\n")
        assert gate(left, review) == CHANGED
        assert left.run("agentmesh", "review", "update", review).stdout.startswith("asking: round 2 of 3")
        second = asks(left, review)
        assert second.keys() == first.keys()
        old = say(right, first["right-dev-rev"]["job"], "pass")
        assert old[0] == 4
        assert "the job has ended already: completed" in old[1]
        for host, name in ((left, "left-dev-rev"), (right, "right-dev-rev")):
            assert gate(left, review) == AWAITED
            assert say(host, second[name]["job"], "pass")[0] == 0
        assert waiting.wait(20) == 0
    assert gate(left, review) == PASSED
    assert gate(left, "--diff", "change.diff") == PASSED
    told = left.run("agentmesh", "review", "show", review).stdout
    assert "round 1 of 3" in told
    assert "| line 3 leaks" in told
    (left.home / "change.diff").write_text("+mended, and more\n")
    assert gate(left, review) == CHANGED
    assert left.run("agentmesh", "review", "wait", review).returncode == CHANGED
    assert gate(left, "--diff", "change.diff") == 2


def test_nobody_but_the_reviewer_s_own_pane_gives_its_verdict(pair: Pair) -> None:
    left, right = pair
    review = start(left, "right-dev-rev")
    job = asks(left, review)["right-dev-rev"]["job"]
    for host, environment in (
        (right, {}),
        (right, {"AGENT_NAME": "right-dev-rev"}),
        (left, {"AGENT_NAME": "right-dev-rev"}),
    ):
        for words in (("review", "verdict", job, "pass"), ("job", "claim", job), ("job", "event", job, "completed")):
            said = host.run("agentmesh", *words, environment=environment)
            assert (said.returncode, "for the pane right-dev-rev alone" in said.stderr) == (4, True), said
    pretended = json.dumps({"job": job, "type": "completed", "content": {"verdict": "pass", "pane": ["right-dev-rev"]}})
    code = f"import asyncio, sys; from agentmesh.config import Paths; from agentmesh.adapters import ipc; \
print(asyncio.run(ipc.perform(Paths.from_environment().socket, 'job', 'report', {pretended!r})))"
    assert "alone" in right.run("python", "-c", code, environment={"AGENT_NAME": "right-dev-rev"}).stdout
    assert say(left, job, "pass")[0] == 4
    assert show(left, review)["state"] == "asking"
    assert say(right, job, "pass")[0] == 0
    eventually(lambda: gate(left, review) == PASSED, "it is passed", lambda: show(left, review))


def test_the_worker_never_reviews(pair: Pair) -> None:
    left, _ = pair

    def refused(reviewers: str) -> str:
        words = ("--diff", "change.diff", "--worker", "left-dev-worker", "--reviewers", reviewers)
        done = left.run("agentmesh", "review", "start", *words)
        assert done.returncode == 1, done
        return done.stderr

    assert "left-dev-worker is the worker and can't review" in refused("right-dev-rev,left-dev-worker")
    pane = left.tmux.run("list-panes", "-t", "dev:worker", "-F", "#{pane_id}")
    assert "is the worker" in refused(f"right-dev-rev,left:{pane}")
    assert "leaves no reviewers" in refused("left-dev-work*")
    words = ("--diff", "change.diff", "--worker", "left-dev-worker", "--reviewers", "@role:team")
    done = left.run("agentmesh", "review", "start", *words)
    assert (done.returncode, "left-dev-worker is left out" in done.stderr) == (0, True), done
    found = show(left, done.stdout.strip())
    assert {each["address"] for each in found["reviewers"]} == {"left-dev-rev", "right-dev-rev", "right-dev-worker"}
    assert left.run("agentmesh", "review", "cancel", found["id"]).returncode == 0


def test_a_verdict_on_a_diff_that_has_changed_meanwhile_is_void(pair: Pair) -> None:
    left, right = pair
    review = start(left, "left-dev-rev,right-dev-rev")
    first = asks(left, review)
    assert say(left, first["left-dev-rev"]["job"], "pass")[0] == 0
    before = (left.home / "change.diff").read_text()
    (left.home / "change.diff").write_text("+other\n")
    assert left.run("agentmesh", "review", "update", review).returncode == 0
    second = asks(left, review)
    eventually(lambda: show(left, review)["rounds"][0]["asks"][1]["verdict"] == "none", "the first is given up")
    late = say(right, first["right-dev-rev"]["job"], "pass")
    assert (late[0], "cancelled" in late[1]) == (4, True)
    assert say(right, second["right-dev-rev"]["job"], "pass")[0] == 0
    assert gate(left, review) == AWAITED
    # What was passed before is passed still when it comes back: only who has not passed it is asked again.
    (left.home / "change.diff").write_text(before)
    assert left.run("agentmesh", "review", "update", review).returncode == 0
    third = asks(left, review)
    assert list(third) == ["right-dev-rev"]
    assert say(right, third["right-dev-rev"]["job"], "not-pass")[0] == 0
    eventually(lambda: show(left, review)["state"] == "failed", "no rounds are left", lambda: show(left, review))
    assert left.run("agentmesh", "review", "wait", review).returncode == NOT_PASSED
    (left.home / "change.diff").write_text("+once more\n")
    over = left.run("agentmesh", "review", "update", review)
    assert (over.returncode, "it is failed" in over.stderr) == (1, True), over


def test_a_crash_at_any_moment_asks_nobody_twice_and_loses_no_round(pair: Pair) -> None:
    left, right = pair
    left.keep_port()
    review = start(left)
    left.kill()
    left.start()
    first = asks(left, review)
    assert in_pane(right, f"agentmesh job claim {first['right-dev-rev']['job']}")[0] == 0
    left.kill()
    given = say(right, first["right-dev-rev"]["job"], "not-pass", "said while you were away")
    assert (given[0], "as soon as" in given[1]) == (0, True)
    left.start()
    eventually(lambda: show(left, review)["rounds"][0]["asks"][1].get("verdict"), "it is heard", lambda: left.log)
    assert say(left, first["left-dev-rev"]["job"], "pass")[0] == 0
    left.kill()
    left.start()
    eventually(lambda: show(left, review)["rounds"][0]["is_told"], "the worker is told")
    left.kill()
    left.start()
    assert len([body for body in briefs(left, review) if "NOT PASS" in body]) == 1
    assert len([body for body in briefs(left, review) if "Claim it" in body]) == 1
    assert len(briefs(right, review)) == 1
    eventually(left.all_up, "it has its link again", left.status)


def test_a_reviewer_who_can_not_be_asked_or_gives_up_is_asked_again_by_an_update(pair: Pair) -> None:
    left, right = pair
    pane = left.tmux.run("list-panes", "-t", "dev:rev", "-F", "#{pane_id}")
    left.tmux.run("set-option", "-w", "-t", pane, "@agent-deny", "on")
    review = start(left)
    eventually(
        lambda: "could not be asked: denied" in str(show(left, review)), "it is noticed", lambda: show(left, review)
    )
    job = show(left, review)["rounds"][0]["asks"][1]["job"]
    eventually(lambda: len(briefs(right, review)) == 1, "the other is asked", lambda: show(left, review))
    assert in_pane(right, f"agentmesh job event {job} error -m 'no time'")[0] == 0
    eventually(lambda: show(left, review)["state"] == "revising", "the round is over", lambda: show(left, review))
    left.tmux.run("set-option", "-w", "-u", "-t", pane, "@agent-deny")
    assert left.run("agentmesh", "review", "update", review).returncode == 0
    again = asks(left, review)
    assert len(again) == 2
    for host in pair:
        assert say(host, again[f"{host.name}-dev-rev"]["job"], "pass")[0] == 0
    eventually(lambda: gate(left, review) == PASSED, "it is passed", lambda: show(left, review))


def test_a_reviewer_who_is_gone_is_said_to_be(pair: Pair) -> None:
    left, right = pair
    right.open("leaver", "sh")
    review = start(left, "right-dev-leaver")
    job = asks(left, review)["right-dev-leaver"]["job"]
    assert in_pane(right, f"agentmesh job claim {job}", "leaver")[0] == 0
    right.tmux.run("kill-window", "-t", "dev:leaver")
    eventually(lambda: GONE.search(str(show(left, review))), "that is noticed", lambda: show(left, review))
    assert GONE.search(left.run("agentmesh", "review", "wait", review, "--timeout", "1s").stderr)
    assert GONE.search(left.run("agentmesh", "review", "show", review).stdout)
    assert left.run("agentmesh", "job", "cancel", job).returncode == 0
    eventually(lambda: show(left, review)["state"] == "revising", "the round is over", lambda: show(left, review))


def test_long_feedback_comes_as_a_file_and_too_much_is_refused(pair: Pair) -> None:
    left, right = pair
    long = {host.name: (host.home / "long").write_text(f"{host.name} says\n" * 3500) for host in pair}
    review = start(left)
    given = asks(left, review)
    for host in pair:
        job = given[f"{host.name}-dev-rev"]["job"]
        assert in_pane(host, f"agentmesh review verdict {job} not-pass --feedback long")[0] == 0
    eventually(lambda: show(left, review)["rounds"][0]["is_told"], "the worker is told")
    (body,) = [body for body in briefs(left, review) if "NOT PASS" in body]
    text = (left.home / body.split("file dropped at ~/")[1].split(" ")[0]).read_text()
    assert all(f"    {host.name} says\n" in text for host in pair)
    assert len(text) > sum(long.values())
    (right.home / "long").write_text("x" * 65536)
    refused = in_pane(right, f"agentmesh review verdict {given['right-dev-rev']['job']} pass --feedback long")
    assert (refused[0], "longer than" in refused[1]) == (1, True)


def test_whatever_is_not_known_to_have_passed_keeps_the_gate_shut(pair: Pair, fresh: LocalHost) -> None:
    left, _ = pair
    review = start(left, "right-dev-rev")
    assert gate(left) == 1
    assert gate(left, "no-such-review") == 2
    assert gate(left, "--diff", "no-such-file") == 1
    assert gate(left, "--diff", "--output=change.diff") == 1
    assert left.run("agentmesh", "review", "wait", review, "--timeout", "1s").returncode == AWAITED
    (left.home / "change.diff").unlink()
    assert gate(left, review) == 1
    assert left.run("agentmesh", "review", "cancel", review).returncode == 0
    (left.home / "change.diff").write_text("+1\n")
    assert gate(left, review) == CANCELLED
    assert left.run("agentmesh", "review", "wait", review).returncode == CANCELLED
    assert fresh.run("agentmesh", "review", "gate", review).returncode == 4


def test_commits_are_read_again_whatever_is_configured(pair: Pair) -> None:
    left, right = pair
    git(left, "init", "-q", "-b", "main", "work")
    work = left.home / "work"
    for text in ("one\n", "two\n"):
        (work / "a").write_text(text)
        git(left, "-C", "work", "add", "a")
        git(left, "-C", "work", "commit", "-qm", text.strip())
    words = ("--diff", "HEAD~1..HEAD", "--worker", "left-dev-worker", "--reviewers", "right-dev-rev")
    command = f"cd work && agentmesh review start {' '.join(words)}"
    review = left.run("sh", "-c", command).stdout.strip()
    assert say(right, asks(left, review)["right-dev-rev"]["job"], "pass")[0] == 0
    eventually(lambda: gate(left, review) == PASSED, "it is passed", lambda: show(left, review))
    for name, value in {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.external": "true",
        "diff.context": "9",
        "diff.algorithm": "patience",
        "diff.orderFile": "a",
        "color.ui": "always",
    }.items():
        git(left, "-C", "work", "config", name, value)
        assert gate(left, review) == PASSED, name
    git(left, "-C", "work", "commit", "-qm", "empty", "--allow-empty")
    assert gate(left, review) == 1
    (work / "a").write_text("three\n")
    git(left, "-C", "work", "commit", "-qam", "three")
    assert gate(left, review) == CHANGED


def git(host: LocalHost, *words: str) -> subprocess.CompletedProcess[str]:
    """Run git with no configuration but its own."""
    done = host.run("git", "-c", "user.name=me", "-c", "user.email=me@example.org", *words)
    assert done.returncode == 0, done
    return done
