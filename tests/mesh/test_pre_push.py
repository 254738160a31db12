"""The pre-push hook that is shipped: what a real `git push` brings to a real repository, and what stays here."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux

HOOK = Path(__file__).parents[2] / "hooks" / "pre-push"


class Repository:
    """A clone, and the bare repository that it pushes to."""

    def __init__(self, host: LocalHost, folder: Path) -> None:
        self.host = host
        self.folder = folder / "work"
        self.bare = folder / "bare.git"
        host.run("git", "init", "-q", "--bare", "-b", "main", str(self.bare))
        host.run("git", "init", "-q", "-b", "main", str(self.folder))
        self.git("remote", "add", "origin", str(self.bare))
        self.commit("first")
        assert self.push("main").returncode == 0
        (self.folder / ".git" / "hooks" / "pre-push").symlink_to(HOOK)

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        done = self.host.run("git", "-C", str(self.folder), *identity, *words)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def commit(self, text: str) -> None:
        (self.folder / "file").write_text(f"{text}\n")
        self.git("add", "file")
        self.git("commit", "-qm", text)

    def push(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.host.run("git", "-C", str(self.folder), "push", "-q", "origin", *words)

    def there(self, ref: str) -> str:
        """Return a commit of the bare repository; empty where there is no such ref."""
        return self.host.run("git", "-C", str(self.bare), "rev-parse", "-q", "--verify", ref).stdout.strip()

    def is_refused(self, *words: str) -> str:
        before = self.host.run("git", "-C", str(self.bare), "show-ref").stdout
        done = self.push(*words)
        assert done.returncode == 1, done
        assert self.host.run("git", "-C", str(self.bare), "show-ref").stdout == before
        return done.stderr

    def start(self, diff: str) -> str:
        words = f"--diff {diff} --worker {self.host.name}-dev-first --reviewers {self.host.name}-dev-rev"
        done = self.host.run("sh", "-c", f"cd {self.folder} && agentmesh review start {words}")
        assert done.returncode == 0, done
        return done.stdout.strip()

    def answer(self, review: str, verdict: str) -> None:
        """Have the reviewer say so in its pane."""

        def shown() -> dict[str, str]:
            return dict(json.loads(self.host.run("agentmesh", "review", "show", review, "--json").stdout))

        job = json.loads(self.host.run("agentmesh", "review", "show", review, "--json").stdout)["rounds"][-1]["asks"][0]
        command = f"PATH={self.host.environment['PATH']} agentmesh review verdict {job['job']} {verdict}"
        self.host.tmux.run("send-keys", "-t", "dev:rev", "C-u", command, "Enter")
        eventually(lambda: shown()["state"] != "asking", "it is answered", lambda: self.host.tmux.screen("dev:rev"))

    def have_passed(self, diff: str) -> None:
        self.answer(self.start(diff), "pass")


@pytest.fixture(scope="module")
def reviewed(host: LocalHost) -> LocalHost:
    host.open("rev", "sh")
    return host


@pytest.fixture
def repository(reviewed: LocalHost, tmp_path: Path) -> Iterator[Repository]:
    yield Repository(reviewed, tmp_path)
    if not reviewed.asking.answers():
        reviewed.start()


def test_what_every_reviewer_has_passed_goes_and_nothing_else_does(repository: Repository) -> None:
    repository.commit("second")
    assert "main isn't passed as it is now, so it stays here." in repository.is_refused("main")
    review = repository.start("origin/main...HEAD")
    assert f"agentmesh review wait {review}" in repository.is_refused("main")
    repository.answer(review, "not-pass")
    assert "not passed" in repository.is_refused("main")
    repository.commit("mended")
    assert "To have it reviewed: agentmesh review start --diff" in repository.is_refused("main")
    assert repository.host.run("agentmesh", "review", "update", review).returncode == 0
    repository.answer(review, "pass")
    assert repository.push("main").returncode == 0
    assert repository.there("main") == repository.git("rev-parse", "HEAD")
    repository.commit("one more")
    repository.is_refused("main")


def test_a_new_branch_goes_when_all_that_it_has_beyond_the_default_branch_has_passed(repository: Repository) -> None:
    repository.git("switch", "-qc", "topic")
    repository.commit("topic")
    repository.is_refused("topic")
    repository.have_passed("main...topic")
    assert repository.push("topic").returncode == 0
    repository.commit("topic again")
    repository.is_refused("topic")
    repository.have_passed("main...topic")
    assert repository.push("topic").returncode == 0
    repository.commit("and again")
    repository.have_passed("origin/topic..topic")  # the change alone
    assert repository.push("topic").returncode == 0
    assert "stays here" in repository.is_refused("topic:main")
    repository.have_passed("origin/main..topic")
    assert repository.push("topic:main").returncode == 0


def test_another_branch_than_the_one_that_was_reviewed_stays(repository: Repository) -> None:
    repository.git("switch", "-qc", "good")
    repository.commit("good")
    repository.have_passed("main...good")
    repository.git("switch", "-qc", "bad", "main")
    repository.commit("bad")
    assert "bad isn't passed" in repository.is_refused("bad")
    assert "bad isn't passed" in repository.is_refused("good", "bad")
    repository.git("switch", "-q", "good")
    assert "bad isn't passed" in repository.is_refused("bad:good")
    assert repository.push("good").returncode == 0


def test_what_brings_nothing_goes_without_a_review(repository: Repository) -> None:
    assert repository.push("main:copy").returncode == 0
    repository.git("tag", "-am", "one", "v1")
    assert repository.push("v1").returncode == 0
    repository.git("commit", "-q", "--amend", "-m", "another message")
    assert repository.push("--force", "main").returncode == 0
    assert repository.push("--delete", "copy").returncode == 0
    assert (repository.there("v1^{commit}") != "", repository.there("copy")) == (True, "")


def test_to_take_commits_back_from_the_default_branch_needs_a_review_too(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.commit("second")
    repository.have_passed("origin/main..main")
    assert repository.push("main").returncode == 0
    repository.is_refused("--force", f"{first}:main")
    repository.have_passed(f"origin/main..{first}")
    assert repository.push("--force", f"{first}:main").returncode == 0


def test_the_first_push_of_all_is_reviewed_as_a_whole(repository: Repository, tmp_path: Path) -> None:
    empty = tmp_path / "empty.git"
    repository.host.run("git", "init", "-q", "--bare", "-b", "main", str(empty))
    repository.git("remote", "set-url", "origin", str(empty))
    repository.git("update-ref", "-d", "refs/remotes/origin/main")
    said = repository.is_refused("main")
    repository.have_passed(said.split("--diff ")[1].split()[0])
    assert repository.push("main").returncode == 0


def test_without_an_agent_or_the_program_nothing_goes(repository: Repository) -> None:
    repository.commit("second")
    repository.have_passed("origin/main..main")
    host = repository.host
    push = ("git", "-C", str(repository.folder), "push", "-q", "origin", "main")
    path = {"PATH": "/usr/bin:/bin", "AGENTMESH_HOME": "/nonexistent"}
    assert "agentmesh isn't found" in host.run(*push, environment=path).stderr
    host.kill()
    assert "No agent runs here. Start it with `agentmesh run`." in repository.is_refused("main")
    host.start()
    assert repository.push("main").returncode == 0
