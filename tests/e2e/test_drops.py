"""Drops between two hosts with a real sshd: what a cut, a crash and a full disk do to them."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import all_up, knows, open_window, screen, start_agent, status
from tests.eventually import eventually

pytestmark = pytest.mark.hosts

BIG = 24 * 1024 * 1024
Sent = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module", autouse=True)
def pane(hosts: list[Host]) -> None:
    hub, worker = hosts
    open_window(worker, "foo", "bar", "cat")
    eventually(knows(hub, "worker-1-foo-bar"), "hub knows the pane")


@pytest.fixture
def slow(network: Network, hub: Host) -> Iterator[None]:
    """Let what is big take a few seconds on its way: a channel's window is 2 MiB a round trip."""
    network.delay("worker-1", 100)
    eventually(lambda: all_up(hub), "the link is up", network.diagnose, seconds=60)
    yield
    network.clear_delay("worker-1")


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as thread:
        yield thread


def drop(hub: Host, *words: str, stdin: str = "") -> Sent:
    return hub.run("notify-pane", "worker-1-foo-bar", *words, stdin=stdin, check=False, timeout=100)


def make(hub: Host, name: str, size: int = BIG) -> str:
    """Make a file on hub; returns its digest."""
    content = os.urandom(size)
    hub.outside(name).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def parts(worker: Host) -> list[Path]:
    return list(worker.outside(".agent-inbox/hub").glob(".*.part"))


def is_under_way(worker: Host, least: int = 2 * 1024 * 1024) -> bool:
    return any(part.stat().st_size > least for part in parts(worker))


def begin(thread: ThreadPoolExecutor, hub: Host, worker: Host, name: str) -> Future[Sent]:
    """Start to drop a file, and return when a part of it is there."""
    sending = thread.submit(drop, hub, "--file", name, "the big one")
    eventually(lambda: is_under_way(worker), "a part of it is there", seconds=60)
    assert not worker.outside(f".agent-inbox/hub/{name}").exists()
    return sending


def digest(worker: Host, name: str) -> str:
    return hashlib.sha256(worker.outside(f".agent-inbox/hub/{name}").read_bytes()).hexdigest()


def offsets(worker: Host) -> list[int]:
    """Return from where each drop began, as the agent's log has it."""
    log = worker.outside(".agents/log/agent.log").read_text()
    return [int(offset) for offset in re.findall(r"drop begins .*?from=(\d+)", log)]


@pytest.mark.usefixtures("slow")
def test_a_drop_goes_on_when_the_other_agent_was_killed(hub: Host, worker: Host, thread: ThreadPoolExecutor) -> None:
    wanted = make(hub, "killed.bin")
    pid = str(status(worker).pid)
    sending = begin(thread, hub, worker, "killed.bin")
    worker.run("kill", "-9", pid)
    assert parts(worker)
    start_agent(worker)
    sent = sending.result()
    assert (sent.returncode, sent.stderr) == (0, "")
    assert digest(worker, "killed.bin") == wanted
    assert parts(worker) == []
    eventually(lambda: all_up(hub), "the link is back", seconds=60)


@pytest.mark.usefixtures("slow")
def test_a_drop_goes_on_when_the_link_was_cut(
    network: Network, hub: Host, worker: Host, thread: ThreadPoolExecutor
) -> None:
    wanted = make(hub, "cut.bin")
    sending = begin(thread, hub, worker, "cut.bin")
    network.cut("worker-1")
    # The far end learns of it first, as after a restart of its sshd; hub learns when packets cross again.
    worker.run("pkill", "-9", "-f", "sshd: .*@notty")
    network.mend("worker-1")
    sent = sending.result()
    assert (sent.returncode, sent.stderr) == (0, "")
    assert digest(worker, "cut.bin") == wanted
    assert offsets(worker)[-1] > 0
    eventually(lambda: all_up(hub), "the link is back", seconds=60)


@pytest.mark.usefixtures("slow")
def test_the_same_command_goes_on_after_our_agent_was_killed(
    hub: Host, worker: Host, thread: ThreadPoolExecutor
) -> None:
    wanted = make(hub, "again.bin")
    pid = str(status(hub).pid)
    sending = begin(thread, hub, worker, "again.bin")
    hub.run("kill", "-9", pid)
    assert sending.result().returncode == 7
    start_agent(hub)
    assert parts(worker)
    sent = drop(hub, "--file", "again.bin")
    assert (sent.returncode, sent.stderr) == (0, "")
    assert digest(worker, "again.bin") == wanted
    assert offsets(worker)[-1] > 0


@pytest.mark.usefixtures("slow")
def test_a_part_that_was_damaged_meanwhile_is_not_trusted(hub: Host, worker: Host, thread: ThreadPoolExecutor) -> None:
    wanted = make(hub, "damaged.bin")
    pid = str(status(hub).pid)
    sending = begin(thread, hub, worker, "damaged.bin")
    hub.run("kill", "-9", pid)
    assert sending.result().returncode == 7
    start_agent(hub)
    (part,) = parts(worker)
    with part.open("r+b") as damaged:
        damaged.write(b"damage")
    assert drop(hub, "--file", "damaged.bin").returncode == 0
    assert digest(worker, "damaged.bin") == wanted


@pytest.mark.usefixtures("slow")
def test_long_work_shows_a_bar_on_a_terminal_and_erases_it(hub: Host) -> None:
    make(hub, "long.bin")
    open_window(hub, "dev", "watching", "bash --norc")
    words = 'notify-pane worker-1-foo-bar --file long.bin; echo "exit $?"'
    hub.run("tmux", "send-keys", "-t", "dev:watching", words, "Enter")
    eventually(lambda: "% of 24.0 MiB" in screen(hub, "dev:watching"), "the bar", lambda: screen(hub, "dev:watching"))
    eventually(lambda: "exit 0" in screen(hub, "dev:watching"), "the end", lambda: screen(hub, "dev:watching"), 60)
    assert "% of" not in screen(hub, "dev:watching")
    assert "\n→ worker-1-foo-bar " in screen(hub, "dev:watching")


def test_a_folder_is_the_same_after_unpacking(hub: Host, worker: Host) -> None:
    tree = hub.outside("tree")
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "data").write_bytes(os.urandom(700_000))
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o755)
    (tree / "link").symlink_to("deep/data")
    os.mkfifo(tree / "fifo")
    sent = drop(hub, "--file", "tree/", "unpack me")
    assert sent.returncode == 0
    assert "tree.tar is without what no file can hold: " in sent.stderr
    size = worker.outside(".agent-inbox/hub/tree.tar").stat().st_size
    notice = f"file dropped at ~/.agent-inbox/hub/tree.tar ({size} bytes, tar of a folder): unpack me"
    assert notice in screen(worker, "foo:bar")
    worker.run("tar", "xf", ".agent-inbox/hub/tree.tar")
    listing = ["find", "tree", "!", "-type", "p", "-printf", "%P %y %m %l %s %Ts\n"]
    folders = ["sed", "s/ d \\([0-7]*\\)  [0-9]*/ d \\1/"]
    there, here = (
        sorted(
            subprocess.run(
                folders, input=host.run(*listing).stdout, capture_output=True, text=True, check=True
            ).stdout.split("\n")
        )
        for host in (worker, hub)
    )
    assert there == here
    assert worker.run("sha256sum", "tree/deep/data").stdout == hub.run("sha256sum", "tree/deep/data").stdout


def test_standard_input_arrives_as_a_file(hub: Host, worker: Host) -> None:
    text = "a line of a diff\n" * 300_000
    sent = drop(hub, "--file", "-", "--name", "diff.patch", "look", stdin=text)
    assert (sent.returncode, sent.stderr) == (0, "")
    assert worker.outside(".agent-inbox/hub/diff.patch").read_text() == text
    assert list(hub.outside(".agents/spool/input").iterdir()) == []


@pytest.fixture
def small_inbox(worker: Host) -> Iterator[Path]:
    """Put the inbox of hub's files on a disk of 8 MiB."""
    folder = worker.outside(".agent-inbox/hub")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    worker.run("mount", "-n", "-t", "tmpfs", "-o", "size=8m,mode=700", "small", str(worker.home / ".agent-inbox/hub"))
    yield folder
    worker.run("umount", "-n", "-l", str(worker.home / ".agent-inbox/hub"))


def test_a_file_that_does_not_fit_is_refused(small_inbox: Path, hub: Host) -> None:
    make(hub, "large.bin", 9 * 1024 * 1024)
    refused = drop(hub, "--file", "large.bin")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "large.bin could not be dropped on worker-1: 9,437,184 bytes don't fit on its disk" in refused.stderr
    assert list(small_inbox.iterdir()) == []
    wanted = make(hub, "small.bin", 4 * 1024 * 1024)
    assert drop(hub, "--file", "small.bin").returncode == 0
    assert hashlib.sha256((small_inbox / "small.bin").read_bytes()).hexdigest() == wanted


@pytest.mark.usefixtures("slow")
def test_a_disk_that_becomes_full_on_the_way_keeps_nothing_half_written(
    small_inbox: Path, hub: Host, worker: Host, thread: ThreadPoolExecutor
) -> None:
    wanted = make(hub, "grow.bin", 6 * 1024 * 1024)
    sending = thread.submit(drop, hub, "--file", "grow.bin")
    eventually(lambda: is_under_way(worker, 256 * 1024), "a part of it is there", seconds=60)
    worker.run("dd", "if=/dev/zero", f"of={worker.home}/.agent-inbox/hub/filler", "bs=64k", check=False)
    refused = sending.result()
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "its disk is full; free some space there" in refused.stderr
    assert [path.name for path in small_inbox.iterdir()] == ["filler"]
    (small_inbox / "filler").unlink()
    assert drop(hub, "--file", "grow.bin").returncode == 0
    assert hashlib.sha256((small_inbox / "grow.bin").read_bytes()).hexdigest() == wanted
