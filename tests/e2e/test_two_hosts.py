"""Two hosts with a real sshd and the agent: what the first message across must be true of."""

import hashlib
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import addresses, all_up, knows, open_window, screen, start_agent, status
from tests.eventually import eventually

pytestmark = pytest.mark.hosts

CLAUDE = Path(__file__).parents[1] / "mesh" / "programs" / "claude.py"


@pytest.fixture(scope="module", autouse=True)
def panes(hosts: list[Host]) -> None:
    hub, worker = hosts
    open_window(hub, "dev", "lead", "bash --norc")
    open_window(worker, "foo", "bar", "cat")
    open_window(worker, "foo", "shell", "bash --norc")
    open_window(worker, "foo", "sleeper", "exec sleep 600")
    eventually(knows(hub, "hub-dev-lead", "worker-1-foo-bar", "worker-1-foo-shell"), "hub knows all panes")


def test_a_message_from_a_pane_arrives_with_its_sender(hub: Host, worker: Host) -> None:
    hub.run("tmux", "send-keys", "-t", "dev:lead", 'notify-pane worker-1-foo-bar "hi"; echo "exit $?"', "Enter")
    eventually(lambda: "exit 0" in screen(hub, "dev:lead"), "the command ends", lambda: screen(hub, "dev:lead"))
    assert "→ worker-1-foo-bar (worker-1[foo:0]): hi" in screen(hub, "dev:lead")
    assert re.search(
        r"^\[from hub-dev-lead @ \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\] hi$", screen(worker, "foo:bar"), re.MULTILINE
    )


def test_a_message_is_submitted_once(hub: Host, worker: Host) -> None:
    hub.run("notify-pane", "worker-1-foo-bar", "only once, please")
    # Typed and echoed by the terminal, then written by cat.
    eventually(lambda: screen(worker, "foo:bar").count("only once, please") == 2, "cat has written it")


def test_a_message_at_a_shell_prompt_is_shown_and_never_run(hub: Host, worker: Host) -> None:
    sent = hub.run("notify-pane", "worker-1-foo-shell", "; touch ~/harm; $(touch ~/harm)")
    assert sent.returncode == 0
    shown = screen(worker, "foo:shell")
    assert "; touch ~/harm; $(touch ~/harm)" in shown
    assert shown.splitlines()[-1].startswith("bash-")
    worker.run("tmux", "send-keys", "-t", "foo:shell", "echo alive", "Enter")
    eventually(lambda: "\nalive" in screen(worker, "foo:shell"), "the shell goes on")
    assert not worker.outside("harm").exists()


def test_a_file_lands_byte_identical(hub: Host, worker: Host) -> None:
    content = os.urandom(3_000_000)
    hub.outside("diff.patch").write_bytes(content)
    sent = hub.run("notify-pane", "worker-1-foo-bar", "--file", "diff.patch", "section 3 needs your eyes")
    landed = worker.outside(".agent-inbox/hub/diff.patch")
    assert hashlib.sha256(landed.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert landed.stat().st_mode & 0o777 == 0o600
    notice = "file dropped at ~/.agent-inbox/hub/diff.patch (3000000 bytes): section 3 needs your eyes"
    assert notice in sent.stdout
    assert notice in screen(worker, "foo:bar")


def test_a_second_file_of_the_same_name_gets_a_number(hub: Host, worker: Host) -> None:
    for content in (b"first", b"second", b"first"):
        hub.outside("notes.txt").write_bytes(content)
        hub.run("notify-pane", "worker-1-foo-bar", "--file", "notes.txt")
    folder = worker.outside(".agent-inbox/hub")
    assert sorted(path.name for path in folder.glob("notes*")) == ["notes (2).txt", "notes.txt"]
    assert (folder / "notes (2).txt").read_bytes() == b"second"


def test_windows_appear_move_and_disappear_without_a_command(hub: Host, worker: Host) -> None:
    open_window(worker, "foo", "fresh", "cat")
    eventually(knows(hub, "worker-1-foo-fresh"), "the new window", seconds=1)
    worker.run("tmux", "rename-window", "-t", "foo:fresh", "Stale one")
    eventually(knows(hub, "worker-1-foo-stale-one"), "the new name", seconds=1)
    renamed = hub.run("notify-pane", "worker-1-foo-fresh", "by its old name")
    assert "worker-1-foo-fresh is now called worker-1-foo-stale-one" in renamed.stderr
    assert "by its old name" in screen(worker, "foo:Stale one")
    worker.run("tmux", "kill-window", "-t", "foo:Stale one")
    eventually(lambda: "worker-1-foo-stale-one" not in addresses(hub), "the window is gone", seconds=1)


def test_registry_files_hold_both_hosts(hub: Host) -> None:
    registry = hub.outside(".agents/registry.toml")
    eventually(lambda: "[agents.worker-1-foo-bar]" in registry.read_text(), "the file", registry.read_text)
    assert "[agents.hub-dev-lead]" in registry.read_text()
    assert "worker-1" not in hub.outside(".agents/local.toml").read_text()


@pytest.mark.parametrize(
    ("words", "stdin", "code", "complaint"),
    [
        (["worker-1-foo-baz", "x"], "", 2, "Did you mean worker-1-foo-bar"),
        (["worker-1-foo-bar", ""], "", 1, "it is empty"),
        (["worker-1-foo-bar", "esc \x1b[A"], "", 1, "U\\+001B"),
        (["worker-1-foo-bar", "a\rrm -rf x"], "", 1, "U\\+000D"),
        (["worker-1-foo-bar", "-"], "x" * 10 * 1024 * 1024, 1, "longer than 65,536 bytes"),
        (["worker-1-foo-bar", "--file", "nowhere"], "", 1, "No such file"),
        (["worker-1-foo-bar", "--file", "/dev/null"], "", 1, "isn't a regular file"),
        (["nobody.example", "x"], "", 2, "No pane is called"),
        (["worker-1-foo-bar"], "", 1, "nothing to send"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(
    hub: Host, worker: Host, words: list[str], stdin: str, code: int, complaint: str
) -> None:
    before = screen(worker, "foo:bar")
    refused = hub.run("notify-pane", *words, stdin=stdin, check=False)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert re.search(complaint, refused.stderr)
    assert screen(worker, "foo:bar") == before


def test_an_ambiguous_ending_lists_the_candidates(hub: Host, worker: Host) -> None:
    open_window(worker, "other", "bar", "cat")
    eventually(knows(hub, "worker-1-other-bar"), "the second bar")
    refused = hub.run("notify-pane", "bar", "x", check=False)
    assert refused.returncode == 2
    assert "worker-1-foo-bar, worker-1-other-bar" in refused.stderr
    worker.run("tmux", "kill-session", "-t", "other")


def test_standard_input_is_the_body(hub: Host, worker: Host) -> None:
    hub.run("notify-pane", "worker-1-foo-bar", "-", stdin="from a pipe\n")
    assert "] from a pipe" in screen(worker, "foo:bar")


def test_a_program_that_never_reads_is_reported(hub: Host) -> None:
    sent = hub.run("notify-pane", "worker-1-foo-sleeper", "are you there?")
    assert "not read yet" in sent.stderr


def test_without_agents_the_same_message_arrives(hub: Host, worker: Host) -> None:
    for host in (hub, worker):
        host.run("agentmesh", "stop")
    try:
        sent = hub.run("notify-pane", "worker-1-foo-bar", "nobody is home")
        assert sent.stdout == "→ worker-1-foo-bar (worker-1[foo:0]): nobody is home\n"
        assert "] nobody is home" in screen(worker, "foo:bar")
    finally:
        for host in (hub, worker):
            start_agent(host)


def link_holders(host: Host) -> set[str]:
    """Return who holds the conversations that sshd started: an agent, joined to by a socket, or the process itself."""
    held = set()
    for pid in host.run("pgrep", "-f", "agentmesh wire", check=False).stdout.split():
        files = host.run("ls", "-l", f"/proc/{pid}/fd", check=False).stdout
        held.add("itself" if "mesh.db" in files else "agent")
    return held


def test_a_host_without_an_agent_is_served_until_one_starts(hub: Host, worker: Host) -> None:
    worker.run("agentmesh", "stop")
    eventually(lambda: all_up(hub), "hub has a link all the same", lambda: status(hub))
    open_window(worker, "foo", "alone", "cat")
    eventually(knows(hub, "worker-1-foo-alone"), "the window that was opened meanwhile")
    start_agent(worker)
    eventually(lambda: link_holders(worker) == {"agent"}, "the link is handed over", lambda: link_holders(worker))
    worker.run("tmux", "kill-window", "-t", "foo:alone")
    eventually(lambda: "worker-1-foo-alone" not in addresses(hub), "the window is gone")


def test_who_serves_a_host_without_an_agent_outlives_one_that_ran_meanwhile_and_is_still_heard(
    hub: Host, worker: Host
) -> None:
    worker.run("agentmesh", "stop")
    eventually(lambda: all_up(hub), "hub has a link all the same", lambda: status(hub))
    eventually(lambda: link_holders(worker) == {"itself"}, "it is served without an agent")
    worker.run("pkill", "-STOP", "-f", "agentmesh wire")  # it sees neither the agent's coming nor its going
    start_agent(worker)
    open_window(worker, "foo", "meanwhile", "cat")
    eventually(knows(hub, "worker-1-foo-meanwhile"), "the agent's slice is known")
    worker.run("agentmesh", "stop")
    worker.run("pkill", "-CONT", "-f", "agentmesh wire")
    worker.run("tmux", "kill-window", "-t", "foo:meanwhile")
    eventually(lambda: "worker-1-foo-meanwhile" not in addresses(hub), "the window is gone", lambda: status(hub))
    start_agent(worker)


def test_a_host_is_removed_everywhere_over_ssh(hub: Host, worker: Host) -> None:
    confs = [host.outside(".agents/peers.conf") for host in (hub, worker)]
    before = [conf.read_text() for conf in confs]
    for conf, text in zip(confs, before, strict=True):
        conf.write_text(f"{text}ghost\n")
    for host in (hub, worker):
        eventually(lambda host=host: "ghost" in {peer.host for peer in status(host).peers}, "ghost is a peer")  # type: ignore[misc]
    removed = hub.run("agentmesh", "peers", "remove", "--everywhere", "ghost")
    assert f"$ ssh {worker.name} '~/.agents/bin/agentmesh peers remove ghost'" in removed.stdout
    assert removed.stdout.count("ghost: removed") == 2
    assert [conf.read_text() for conf in confs] == before
    again = hub.run("agentmesh", "peers", "remove", "--everywhere", "ghost", check=False)
    assert again.returncode == 2


def test_an_unreachable_host_is_said_and_its_entries_stay(network: Network, hub: Host, worker: Host) -> None:
    hub.run("agentmesh", "stop")
    network.cut("worker-1")
    try:
        start_agent(hub)
        refused = hub.run("notify-pane", "worker-1-foo-bar", "x", check=False, timeout=60)
        assert refused.returncode == 4
        assert "worker-1 can't be reached" in refused.stderr
        assert "worker-1-foo-bar" in addresses(hub)
    finally:
        network.mend("worker-1")
    eventually(lambda: status(hub).peers[0].state == "up", "the link is back", network.diagnose, seconds=40)
    assert "x\n" not in screen(worker, "foo:bar")


def test_a_killed_agent_is_back_with_its_registry(hub: Host, worker: Host) -> None:
    pid = status(worker).pid
    worker.run("kill", "-9", str(pid))
    start_agent(worker)
    hub.run("notify-pane", "worker-1-foo-bar", "after the crash", timeout=60)
    assert "] after the crash" in screen(worker, "foo:bar")


def test_an_agent_killed_while_it_types_leaves_the_message_uncertain(hub: Host, worker: Host) -> None:
    open_window(worker, "foo", "box", f"{sys.executable} {CLAUDE} box.log cut")
    eventually(lambda: "❯" in screen(worker, "foo:box"), "the program is ready")
    eventually(knows(hub, "worker-1-foo-box"), "the pane")
    pid = str(status(worker).pid)
    with ThreadPoolExecutor(1) as thread:
        words = ["notify-pane", "worker-1-foo-box", "longer than the box keeps"]
        sending = thread.submit(hub.run, *words, check=False, timeout=60)
        eventually(lambda: "[from hub" in screen(worker, "foo:box"), "it was pasted")
        worker.run("kill", "-9", pid)
        sent = sending.result()
    try:
        # The link is dialled again at once; with no agent there, `agentmesh wire` finds the message half-done.
        assert sent.returncode == 7
        assert "stopped while it typed" in sent.stderr
        assert screen(worker, "foo:box").count("[from hub") == 1
    finally:
        start_agent(worker)
