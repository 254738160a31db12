"""README.md's recipes, each run as it is written there, on two hosts with a real sshd and a laptop behind NAT."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import knows, make_mesh, open_window, screen, start_agent, status
from tests.e2e.readme import recipes
from tests.eventually import eventually

pytestmark = [pytest.mark.hosts, pytest.mark.tmux]

CHECKOUT = Path(__file__).parents[2]
REVIEWER = """\
import re, subprocess, sys
for line in sys.stdin:
    if asker := re.match(r"\\[from (\\S+) @", line):
        subprocess.run(["notify-pane", asker[1], "yes, it is"])
"""
"""Does what `agentmesh guide` teaches: it answers who asks. Into a shell that is just typed in, that may fail."""
JUDGE = """\
import re, subprocess, sys
from pathlib import Path

DROPPED = r"file dropped at (\\S+) \\("
for line in sys.stdin:
    for brief in (Path(path).expanduser().read_text() for path in re.findall(DROPPED, line)):
        diff = Path(re.findall(DROPPED, brief)[0]).expanduser().read_text()
        job = re.findall(r"agentmesh review verdict (\\S+)", brief)[0]
        said = ["not-pass", "--feedback", "there is a flaw"] if "+flaw" in diff else ["pass"]
        subprocess.run(["agentmesh", "review", "verdict", job, *said], check=True)
"""
"""Does what the brief of a review says."""
KEY_ONLY = ("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes")
LEAD = "env 'PROMPT_COMMAND=echo $? >>~/codes' bash --norc"
"""A shell that notes each command's exit code: what its screen shows, messages write over."""
SEALED = "bash -c 'read -s secret; exec cat'"
"""Takes no message until it has been given Enter."""


def recipe(title: str) -> list[str]:
    """Return what stands as code in a recipe whose title begins so."""
    (found,) = [words for full, words in recipes().items() if full.startswith(title)]
    return found


@pytest.fixture(scope="module")
def hosts(network: Network) -> list[Host]:
    hub, worker = hosts = make_mesh(network, ["hub", "worker-1"])
    worker.outside("reviewer.py").write_text(REVIEWER)
    open_window(hub, "dev", "lead", LEAD)
    open_window(worker, "api", "review", "python reviewer.py")
    worker.run("tmux", "set-option", "-w", "-t", "api:review", "@agent-role", "reviewer")
    for host in hosts:
        eventually(knows(host, "hub-dev-lead", "worker-1-api-review"), "all is known", network.diagnose)
    return hosts


@pytest.fixture
def sealed(worker: Host, hub: Host, request: pytest.FixtureRequest) -> Iterator[str]:
    """Open a window of this name on worker-1 that takes nothing yet; yield its target."""
    target = f"api:{request.param}"
    open_window(worker, "api", request.param, SEALED)
    eventually(knows(hub, f"worker-1-api-{request.param}"), "it is known")
    yield target
    worker.run("tmux", "kill-window", "-t", target)


def type_in(host: Host, target: str, command: str) -> int:
    """Type a command at the shell in a pane; return its exit code when it has ended."""
    codes = host.outside("codes")
    eventually(codes.exists, "the shell has started")
    before = len(codes.read_text().split())
    host.run("tmux", "send-keys", "-t", target, "-R", ";", "clear-history", "-t", target)
    host.run("tmux", "send-keys", "-t", target, "-l", command, ";", "send-keys", "-t", target, "Enter")
    eventually(lambda: len(codes.read_text().split()) > before, f"`{command}` ends", lambda: screen(host, target))
    return int(codes.read_text().split()[before])


def shows(host: Host, target: str, text: str) -> None:
    eventually(lambda: text in screen(host, target), f"{target} shows {text!r}", lambda: screen(host, target))


def test_every_recipe_has_its_test() -> None:
    titles = [re.sub(r"\W+", "_", title).strip("_").lower() for title in recipes()]
    tests = [name.removeprefix("test_") for name in globals() if name.startswith("test_")]
    assert len(titles) == 12
    assert [title for title in titles if title not in tests] == []


def test_ask_another_agent_and_get_the_answer_into_your_pane(hub: Host) -> None:
    question, answer, _ = recipe("Ask another agent")
    assert type_in(hub, "dev:lead", question) == 0
    assert answer == 'notify-pane <your address> "…"'
    shows(hub, "dev:lead", "] yes, it is")


def test_hand_over_work_with_what_belongs_to_it(hub: Host, worker: Host) -> None:
    (command,) = recipe("Hand over work")
    git = "git -c user.name=me -c user.email=me@example.org"
    hub.run("sh", "-c", f"git init -q -b main work && cd work && echo one >a && git add a && {git} commit -qm one")
    hub.outside("work/a").write_text("two\n")
    open_window(worker, "api", "reads", "cat")
    eventually(knows(hub, "worker-1-api-reads"), "it is known")
    assert type_in(hub, "dev:lead", f"cd ~/work; {command.replace(' review ', ' reads ')}; cd") == 0
    assert type_in(hub, "dev:lead", "cd ~/work") == 0
    assert type_in(hub, "dev:lead", command) == 0
    assert "+two" in worker.outside(".agent-inbox/hub-dev-lead/change.patch").read_text()
    shows(worker, "api:reads", "please review")


@pytest.mark.parametrize("sealed", ["builder"], indirect=True)
def test_leave_a_message_for_an_agent_that_works(hub: Host, worker: Host, sealed: str) -> None:
    (command,) = recipe("Leave a message")
    assert type_in(hub, "dev:lead", command) == 0
    worker.run("tmux", "send-keys", "-t", sealed, "Enter")
    shows(worker, sealed, "] when you are done: run the migration tests")


def test_tell_a_whole_team(hub: Host, worker: Host) -> None:
    command, *others = recipe("Tell a whole team")
    open_window(worker, "api", "second", "cat")
    open_window(worker, "api", "team", "cat")
    worker.run("tmux", "set-option", "-w", "-t", "api:team", "@agent-role", "reviewer")
    eventually(knows(hub, "worker-1-api-second", "worker-1-api-team"), "they are known")
    eventually(lambda: hub.run("notify-pane", "--list", "--json").stdout.count('"reviewer"') == 2, "the role is known")
    for selector, reached in zip(["'@role:reviewer'", *others], [1, 2, 2, 2], strict=True):
        worker.run("tmux", "send-keys", "-R", "-t", "api:team", ";", "send-keys", "-R", "-t", "api:second")
        assert type_in(hub, "dev:lead", command.replace("'@role:reviewer'", selector)) == 0
        for window in ("team", "second")[:reached]:
            shows(worker, f"api:{window}", "] the freeze begins at six")
    worker.run("tmux", "kill-window", "-t", "api:second", ";", "kill-window", "-t", "api:team")


@pytest.mark.parametrize("sealed", ["deploy"], indirect=True)
def test_wait_in_a_script_until_it_is_delivered(hub: Host, worker: Host, sealed: str) -> None:
    (command,) = recipe("Wait in a script")
    script = hub.start("sh", "-c", command)
    eventually(lambda: "go" in hub.run("agentmesh", "outbox").stdout, "it waits")
    assert script.poll() is None
    worker.run("tmux", "send-keys", "-t", sealed, "Enter")
    assert script.wait(30) == 0
    shows(worker, sealed, "] go")
    worker.run("tmux", "set-option", "-w", "-t", sealed, "@agent-deny", "on")
    hub.run("sh", "-c", command)
    shows(hub, "dev:lead", "] no go: exit 6")


def test_be_told_by_cron_ci_or_a_long_command(hub: Host) -> None:
    (command,) = recipe("Be told")
    hub.outside("Makefile").write_text("test:\n\t@false\n")
    hub.run("sh", "-c", command)
    shows(hub, "dev:lead", "] tests ended with 2")
    shows(hub, "dev:lead", "[from ci @ ")


def test_reach_the_laptop_that_is_behind_nat(network: Network, hub: Host, worker: Host) -> None:
    command, there, here = recipe("Reach the laptop")
    laptop = network.add_host("laptop")
    for host, unreachable in ((hub, "laptop"), (worker, "laptop"), (laptop, "worker-1")):
        config = host.outside(".ssh/config")
        config.write_text(f"Host {unreachable}\n    Port 2\n{config.read_text()}")
    open_window(laptop, "dev", "me", LEAD)
    laptop.run("tmux", "send-keys", "-t", "dev:me", "-l", command, ";", "send-keys", "-t", "dev:me", "Enter")
    for question in ("What is this host called", "speak for them?"):
        shows(laptop, "dev:me", question)
        laptop.run("tmux", "send-keys", "-t", "dev:me", "Enter")
    shows(laptop, "dev:me", "Done.")
    worker.run("sh", "-c", there)
    laptop.run("sh", "-c", here)
    eventually(knows(worker, "laptop-dev-me"), "worker-1 knows the laptop's pane", network.diagnose)
    sent = worker.run("notify-pane", "laptop-dev-me", "hello over there")
    assert "via hub" in sent.stdout
    shows(laptop, "dev:me", "] hello over there")
    laptop.run("agentmesh", "stop")


def test_let_a_host_in_that_shall_not_log_in(network: Network, hub: Host, worker: Host) -> None:
    command, _ = recipe("Let a host in")
    hub.outside("worker-1-key.pub").write_bytes(worker.outside(".agents/key.pub").read_bytes())
    hub.run("sh", "-c", command)
    keys = hub.outside(".ssh/authorized_keys")
    login = worker.outside(".ssh/id_ed25519.pub").read_text().strip()
    assert login in keys.read_text()
    keys.write_text(keys.read_text().replace(f"{login}\n", ""))
    for name in ("id_ed25519", "../.agents/key"):  # the latter gets a conversation, which ends with its input
        worker.run("ssh", "-i", f".ssh/{name}", *KEY_ONLY, "hub", "touch", "harm", check=False)
    assert not hub.outside("harm").exists()
    config = hub.outside(".ssh/config")
    config.write_text(f"Host worker-1\n    Port 2\n{config.read_text()}")  # so that it is worker-1 that calls
    worker.run("agentmesh", "stop")
    start_agent(worker)

    def identities() -> set[str]:
        return {peer.identity for peer in status(hub).peers if (peer.host, peer.state) == ("worker-1", "up")}

    eventually(lambda: identities() == {"pinned"}, "it calls with its key", network.diagnose)
    worker.run("notify-pane", "hub-dev-lead", "let in")
    shows(hub, "dev:lead", "] let in")


def test_keep_a_pane_to_yourself(hub: Host, worker: Host) -> None:
    (command,) = recipe("Keep a pane")
    open_window(hub, "dev", "mine", LEAD)
    eventually(knows(worker, "hub-dev-mine"), "it is known")
    assert type_in(hub, "dev:mine", command) == 0
    eventually(lambda: worker.run("notify-pane", "hub-dev-mine", "hello", check=False).returncode == 6, "it is denied")
    hub.run("tmux", "kill-window", "-t", "dev:mine")


def test_see_what_came_while_you_were_away(hub: Host, worker: Host) -> None:
    command, source, _ = recipe("See what came")
    hub.outside("agentmesh").symlink_to(CHECKOUT)  # the clone
    hub.outside(".tmux.conf").write_text(f"{source}\n")
    hub.run("tmux", "source-file", f"{hub.home}/.tmux.conf")
    worker.run("notify-pane", "hub-dev-lead", "while you were away")
    assert "unread" in hub.run("notify-pane", "--brief").stdout
    assert "--brief" in hub.run("tmux", "show-options", "-g", "status-right").stdout
    assert type_in(hub, "dev:lead", command) == 0
    assert "while you were away" in screen(hub, "dev:lead").partition(command)[2]


def test_a_three_reviewer_gate_before_push(hub: Host, worker: Host) -> None:
    _, link, push, start, _, update, wait_and_push = recipe("A three-reviewer gate")
    clone = hub.outside("agentmesh")
    if not clone.exists():
        clone.symlink_to(CHECKOUT)
    git = "git -c user.name=me -c user.email=me@example.org"
    made = (
        f"git clone -q gated.git gated && cd gated && echo one >a && git add a && {git} commit -qm one && git push -q"
    )
    hub.run("sh", "-c", f"git init -q --bare -b main gated.git && {made}")
    worker.outside("judge.py").write_text(JUDGE)
    for name in ("rev-1", "rev-2", "rev-3"):
        open_window(worker, "gate", name, "python judge.py")
    open_window(hub, "gate", "builder", "cat")
    eventually(knows(hub, "hub-gate-builder", *(f"worker-1-gate-rev-{number}" for number in (1, 2, 3))), "all is known")

    def do(command: str, code: int = 0) -> None:
        assert type_in(hub, "dev:lead", f"cd ~/gated; {command}") == code, screen(hub, "dev:lead")

    do(link)
    hub.outside("gated/a").write_text("flaw\n")
    hub.run("sh", "-c", f"cd gated && {git} commit -qam two")
    do(push, 1)
    do(start)
    (review,) = json.loads(hub.run("agentmesh", "review", "list", "--json").stdout)
    shows(hub, "gate:builder", "file dropped at")
    do(f"agentmesh review gate {review['id']}", 8)
    hub.outside("gated/a").write_text("fine\n")
    hub.run("sh", "-c", f"cd gated && {git} commit -qam three")
    do(push, 1)
    do(update.replace("ID", review["id"]))
    do(wait_and_push.replace("ID", review["id"]))
    assert hub.run("git", "-C", "gated.git", "show", "main:a").stdout == "fine\n"
    type_in(hub, "dev:lead", "cd")


def open_jobs(host: Host) -> list[str]:
    return [job["id"] for job in json.loads(host.run("agentmesh", "job", "list", "--json").stdout)]


def test_delegate_and_wait_from_a_script(hub: Host, worker: Host) -> None:
    command, claim, report, other = recipe("Delegate and wait")
    for kind, told in (("completed", ""), (other, "] job hub-")):
        script = hub.start("sh", "-c", command, env={"AGENT_NAME": "hub-dev-lead"})
        eventually(lambda: open_jobs(hub), "it is submitted", script.output.read_text)
        (identifier,) = open_jobs(hub)
        worker.run("sh", "-c", claim.replace("ID", identifier))
        worker.run("sh", "-c", report.replace("ID", identifier).replace("completed", kind))
        assert script.wait(30) == 0
        assert (kind == "completed") == ("completed: all is well" in script.output.read_text())
        if told:
            shows(hub, "dev:lead", told)
            shows(hub, "dev:lead", "exit 8")
