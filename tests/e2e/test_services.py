"""install on a host of its own: kept by the user's real systemd, by cron, on a full disk, on a read-only home."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.hosts import Host, Network, obstacle
from tests.e2e.mesh import addresses, asking, open_window, screen, status
from tests.eventually import eventually
from tests.findings import WARNING, findings

pytestmark = [pytest.mark.hosts, pytest.mark.tmux, pytest.mark.timeout(240)]

_MANAGER = Path(__file__).with_name("user_manager.sh")
INSTALL_SECONDS = 60.0
_RUNTIME = Path(f"/run/user/{os.getuid()}")
_HIERARCHIES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"))


@pytest.fixture
def solo() -> Iterator[Host]:
    """Return a host of the test's own, with a window in which cat waits; nothing of ours is there."""
    if reason := obstacle():
        pytest.skip(reason)
    with Network() as network:
        host = network.add_host("solo")
        open_window(host, "dev", "first", "exec cat")
        yield host


@pytest.fixture
def managed(solo: Host) -> Iterator[Host]:
    """Return the host with its user's systemd running."""
    groups = f"agentmesh-test-{solo.namespaces.pid}"
    solo.environment["XDG_RUNTIME_DIR"] = str(_RUNTIME)
    manager = solo.start(_MANAGER, groups)
    try:
        eventually(
            lambda: control(solo, "is-system-running").strip() in {"running", "degraded"},
            "systemd runs",
            manager.output.read_text,
        )
        yield solo
    finally:
        solo.run("systemctl", "--user", "exit", check=False)
        manager.wait(30)
        for hierarchy in _HIERARCHIES:
            remove_groups(hierarchy / groups)


def remove_groups(folder: Path) -> None:
    for inner in sorted(folder.rglob("*/"), reverse=True):
        inner.rmdir()
    if folder.is_dir():
        folder.rmdir()


def control(host: Host, *words: str) -> str:
    """Return what systemctl says of the user's services."""
    return host.run("systemctl", "--user", *words, check=False).stdout


def install(host: Host) -> str:
    """Install on a host, and return what that prints."""
    return host.run("agentmesh", "install", timeout=INSTALL_SECONDS).stdout


def pid(host: Host) -> int:
    return int(control(host, "show", "-P", "MainPID", "agentmesh.service"))


def look(host: Host) -> dict[str, tuple[int, bytes | str]]:
    """Return everything in the home: mode, and content or where a link leads."""
    home = host.outside("")
    return {
        str(path.relative_to(home)): (
            path.lstat().st_mode,
            str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else "",
        )
        for path in home.rglob("*")
    }


def test_systemd_keeps_the_agent_running(managed: Host) -> None:
    before = look(managed)
    told = install(managed)
    assert "loginctl enable-linger" in told
    assert control(managed, "is-enabled", "agentmesh.service", "agentmesh-resync.timer").split() == ["enabled"] * 2
    assert control(managed, "is-active", "agentmesh.service", "agentmesh-resync.timer").split() == ["active"] * 2
    assert "Everything is in place already." in install(managed)
    first = pid(managed)
    assert status(managed).pid == first

    managed.run("kill", "-KILL", str(first))
    eventually(lambda: pid(managed) not in {0, first}, "systemd starts it again")
    eventually(asking(managed).answers, "it answers")
    assert "hello" in managed.run("notify-pane", "first", "hello").stdout

    managed.run("agentmesh", "uninstall", "--yes")
    assert control(managed, "show", "-P", "LoadState", "agentmesh.service").strip() == "not-found"
    assert managed.run("agentmesh", "status", check=False).returncode == 4
    assert look(managed) == before


def test_the_resync_starts_an_agent_anew_that_hangs(managed: Host) -> None:
    install(managed)
    first = pid(managed)
    managed.run("kill", "-STOP", str(first))
    managed.run("systemctl", "--user", "start", "agentmesh-resync.service", timeout=120)
    eventually(lambda: pid(managed) not in {0, first}, "it is started anew")
    eventually(asking(managed).answers, "it answers")


def test_an_agent_that_hangs_is_replaced_by_install_and_ended_by_uninstall(managed: Host) -> None:
    before = look(managed)
    install(managed)
    first = pid(managed)
    managed.run("kill", "-STOP", str(first))
    assert "end the agent: it has not answered" in install(managed)
    eventually(asking(managed).answers, "another answers")
    assert pid(managed) not in {0, first}
    managed.run("kill", "-STOP", str(pid(managed)))
    managed.run("agentmesh", "uninstall", "--yes", timeout=INSTALL_SECONDS)
    assert control(managed, "show", "-P", "LoadState", "agentmesh.service").strip() == "not-found"
    assert look(managed) == before


def test_an_agent_that_was_stopped_on_purpose_stays_so_until_install(managed: Host) -> None:
    install(managed)
    managed.run("agentmesh", "stop")
    eventually(lambda: control(managed, "is-active", "agentmesh.service").strip() == "inactive", "it has stopped")
    managed.run("systemctl", "--user", "start", "agentmesh-resync.service")
    assert control(managed, "is-active", "agentmesh.service").strip() == "inactive"
    install(managed)
    assert control(managed, "is-active", "agentmesh.service").strip() == "active"


def test_nothing_that_waits_is_lost_when_the_agent_is_replaced(managed: Host) -> None:
    install(managed)
    open_window(managed, "dev", "asks", "exec bash -c 'read -s secret; exec cat'")
    eventually(lambda: any(name.endswith("-dev-asks") for name in addresses(managed)), "it is listed")
    texts = [f"number {number}" for number in range(5)]
    for text in texts[:3]:
        managed.run("notify-pane", "asks", "--queue", text)
    managed.run("systemctl", "--user", "restart", "agentmesh.service")
    eventually(asking(managed).answers, "the new one answers")
    for text in texts[3:]:
        managed.run("notify-pane", "asks", "--queue", text)
    managed.run("systemctl", "--user", "kill", "--signal=KILL", "agentmesh.service")
    managed.run("tmux", "send-keys", "-t", "dev:asks", "Enter")

    def shown() -> list[str]:
        lines = screen(managed, "dev:asks").splitlines()
        return [line.partition("] ")[2] for line in dict.fromkeys(lines) if "] number" in line]

    def state() -> str:
        return screen(managed, "dev:asks") + managed.run("agentmesh", "outbox", check=False).stdout

    eventually(lambda: len(shown()) == len(texts), "all are delivered", state, seconds=90)
    assert shown() == texts


def test_a_unit_that_the_user_has_changed_stays(managed: Host) -> None:
    install(managed)
    unit = managed.outside(".config/systemd/user/agentmesh.service")
    own = unit.read_text() + "# mine\n"
    unit.write_text(own)
    told = install(managed)
    assert "agentmesh.service is not as install writes it, and stays" in told
    assert unit.read_text() == own
    assert (
        "agentmesh.service has been changed since, and stays" in managed.run("agentmesh", "uninstall", "--yes").stdout
    )
    assert unit.read_text() == own


def test_an_old_crontab_line_gives_way_and_comes_back(solo: Host) -> None:
    """A stand-in keeps the crontab: a host has no spool of cron's that can be written."""
    solo.outside("bin").mkdir()
    program = solo.outside("bin/crontab")
    program.write_text(
        '#!/bin/sh\ncd\ncase "$1" in -l) cat table ;; -r) rm table ;; -) cat >new && mv new table ;; esac\n'
    )
    program.chmod(0o755)
    solo.environment["PATH"] = f"{solo.home}/bin:{solo.environment['PATH']}"
    table = solo.outside("table")
    text = "MAILTO=me\n*/5 * * * * $HOME/bin/agent-discover\n0 1 * * * backup 50\\%\n"
    table.write_text(text)
    install(solo)
    lines = [line for line in table.read_text().splitlines() if not line.startswith("#")]
    assert lines[:2] == ["MAILTO=me", "0 1 * * * backup 50\\%"]
    assert f"{solo.home}/.agents/bin/agentmesh" in lines[2]
    assert "Everything is in place already." in install(solo)
    solo.run("agentmesh", "uninstall", "--yes")
    assert table.read_text() == text


def test_a_read_only_home_is_said_and_install_goes_on_when_it_is_mended(solo: Host) -> None:
    before = look(solo)
    solo.run("mount", "-n", "-o", "remount,ro", solo.home)
    refused = solo.run("agentmesh", "install", check=False)
    assert refused.returncode in {1, 4}
    assert "Read-only file system" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert look(solo) == before
    solo.run("mount", "-n", "-o", "remount,rw", solo.home)
    install(solo)
    assert "hello" in solo.run("notify-pane", "first", "hello").stdout
    solo.run("agentmesh", "uninstall", "--yes")
    assert look(solo) == before


@contextmanager
def far_mounted(host: Host, name: str) -> Iterator[None]:
    """Mount ``~/far`` at ``~/name``, by a real sshfs, which speaks with a real SFTP server over a pipe."""
    for folder in ("far", name):
        host.outside(folder).mkdir()
    server = host.outside("sftp")
    server.write_text("#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n")
    server.chmod(0o755)
    host.run("sshfs", "-o", f"ssh_command={host.home}/sftp", f"far:{host.home}/far", host.home / name)
    try:
        yield
    finally:
        host.run("umount", host.home / name)


def test_a_home_on_a_network_file_system_is_warned_of_and_the_agent_says_what_it_lacks(solo: Host) -> None:
    with far_mounted(solo, ".agents"):
        disk = findings(solo.run("agentmesh", "doctor", "--json", check=False).stdout)["disk"]
        assert disk.state == WARNING
        assert "~/.agents is on a network file system (fuse.sshfs)" in disk.seen
        refused = solo.run("agentmesh", "run", check=False)
        assert refused.returncode == 1
        assert "no socket can be made there" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_processes_that_append_to_a_record_on_a_network_file_system_lose_nothing(solo: Host) -> None:
    with far_mounted(solo, "near"):
        program = Path(__file__).parents[1] / "adapters" / "programs" / "appending.py"
        words = [sys.executable, str(program), str(solo.home / "near" / "lines")]
        appending = [solo.start(*words, name, "25") for name in "abcd"]
        assert [process.wait(60) for process in appending] == [0] * 4
        lines = solo.outside("far/lines").read_bytes().splitlines()
        assert [int(line.split()[0]) for line in lines] == list(range(1, 101))


def give_room(host: Host, kibibytes: int, *options: str) -> None:
    """Give our home a disk of its own, so large."""
    chosen = ",".join((*options, "mode=700", f"size={kibibytes}k"))
    host.run("mount", "-n", "-t", "tmpfs", "-o", chosen, "small", host.home / ".agents")


@pytest.mark.parametrize("room", [4, 12, 24])
def test_a_full_disk_is_said_and_install_goes_on_when_there_is_room(solo: Host, room: int) -> None:
    solo.outside(".agents").mkdir()
    give_room(solo, room)
    refused = solo.run("agentmesh", "install", check=False)
    assert refused.returncode in {1, 4}
    assert "No space left on device" in refused.stderr
    assert "Traceback" not in refused.stderr
    give_room(solo, 4096, "remount")
    install(solo)
    assert "hello" in solo.run("notify-pane", "first", "hello").stdout


def test_an_agent_on_a_full_disk_accepts_nothing_it_cannot_keep_and_goes_on_when_there_is_room(solo: Host) -> None:
    solo.outside(".agents").mkdir()
    give_room(solo, 4096)
    install(solo)
    open_window(solo, "dev", "asks", "exec bash -c 'read -s secret; exec cat'")
    eventually(lambda: any(name.endswith("-dev-asks") for name in addresses(solo)), "it is listed")
    solo.run("notify-pane", "asks", "--queue", "number 0")
    solo.run("dd", "if=/dev/zero", f"of={solo.home}/.agents/ballast", "bs=1k", check=False)
    accepted = ["number 0"]
    for number in range(1, 40):
        text = f"number {number} {'x' * 2000}"
        sent = solo.run("notify-pane", "asks", "--queue", text, check=False)
        assert "Traceback" not in sent.stderr
        if sent.returncode == 0:
            accepted.append(text)
        else:
            assert (sent.returncode, "full" in sent.stderr) == (4, True), sent.stderr
            break
    else:
        pytest.fail("the disk was never full")
    solo.outside(".agents/ballast").unlink()
    solo.run("notify-pane", "asks", "--queue", "the last")
    solo.run("tmux", "send-keys", "-t", "dev:asks", "Enter")
    eventually(lambda: "the last" in screen(solo, "dev:asks"), "all are delivered", lambda: screen(solo, "dev:asks"))
    shown = screen(solo, "dev:asks")
    assert [text for text in accepted if text not in shown] == []
