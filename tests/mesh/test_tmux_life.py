"""tmux ends, comes back, can't be found, hangs: when the slice empties, and when it stands, here and at a peer."""

import os
import signal

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux

Pair = tuple[LocalHost, LocalHost]


def wait_for_addresses(host: LocalHost, *windows: str) -> None:
    wanted = [f"{host.name}-dev-{window}" for window in windows]
    eventually(lambda: host.addresses() == wanted, f"{wanted} are registered", lambda: (host.addresses(), host.log))


def wait_until_known(peer: LocalHost, host: LocalHost, *windows: str) -> None:
    """Wait until a peer knows these windows of a host and no others, and both of its files and commands say so."""
    wanted = {f"{host.name}-dev-{window}" for window in windows}

    def known() -> set[str]:
        written = {address for address, pane in peer.registry().get("agents", {}).items() if pane["host"] == host.name}
        listed = {address for address in peer.addresses() if address.startswith(f"{host.name}-")}
        state = str(peer.registry().get("slices", {}).get(host.name, {}).get("state"))
        return written if (written, "live") == (listed, state) else {"differs", state, *(written ^ listed)}

    eventually(lambda: known() == wanted, f"{peer.name} knows {wanted}", lambda: f"{known()}\n{peer.log}\n{host.log}")


def start_tmux(host: LocalHost, window: str) -> None:
    host.tmux.run("new-session", "-d", "-s", "dev", "-n", window, "cat")


def test_a_slice_empties_when_tmux_is_killed_and_fills_when_it_is_back(fresh: LocalHost) -> None:
    fresh.start()
    wait_for_addresses(fresh, "first")
    fresh.tmux.run("kill-server")
    wait_for_addresses(fresh)
    eventually(lambda: "agents" not in fresh.registry(), "the file says so too", fresh.registry)
    assert fresh.registry()["slices"][fresh.name]["state"] == "live"
    start_tmux(fresh, "again")
    wait_for_addresses(fresh, "again")
    os.kill(int(fresh.tmux.ask("dev:", "#{pid}")), signal.SIGKILL)  # it leaves its socket behind
    wait_for_addresses(fresh)
    start_tmux(fresh, "once-more")
    wait_for_addresses(fresh, "once-more")


def test_a_slice_empties_when_the_socket_is_deleted_and_fills_when_tmux_makes_it_again(fresh: LocalHost) -> None:
    pid = int(fresh.tmux.ask("dev:", "#{pid}"))
    fresh.start()
    wait_for_addresses(fresh, "first")
    fresh.tmux.socket.unlink()
    wait_for_addresses(fresh)
    os.kill(pid, signal.SIGUSR1)  # tmux(1): it makes its socket again
    wait_for_addresses(fresh, "first")


def test_a_slice_stands_while_tmux_hangs(fresh: LocalHost) -> None:
    pid = int(fresh.tmux.ask("dev:", "#{pid}"))
    fresh.start()
    wait_for_addresses(fresh, "first")
    os.kill(pid, signal.SIGSTOP)
    try:
        fresh.asking.sync()
        assert "has not answered" in str(fresh.status().failures)
        assert fresh.addresses() == [f"{fresh.name}-dev-first"]
        fresh.kill()
        fresh.start()  # what it held is on disk
        assert fresh.addresses() == [f"{fresh.name}-dev-first"]
    finally:
        os.kill(pid, signal.SIGCONT)
    fresh.tmux.run("rename-window", "-t", "dev:first", "alive")
    wait_for_addresses(fresh, "alive")
    assert fresh.status().failures == {}


def test_a_peer_sees_tmux_end_and_come_back(pair: Pair) -> None:
    left, right = pair
    wait_until_known(right, left, "first")
    left.tmux.run("kill-server")
    wait_until_known(right, left)
    start_tmux(left, "again")
    wait_until_known(right, left, "again")
    os.kill(int(left.tmux.ask("dev:", "#{pid}")), signal.SIGKILL)
    wait_until_known(right, left)
    start_tmux(left, "first")
    wait_until_known(right, left, "first")
    assert right.notify("left-dev-first", "after all that").returncode == 0


def test_a_peer_sees_tmux_lost_with_its_socket_and_found_again(pair: Pair) -> None:
    left, right = pair
    wait_until_known(right, left, "first")
    pid = int(left.tmux.ask("dev:", "#{pid}"))
    left.tmux.socket.unlink()
    wait_until_known(right, left)
    os.kill(pid, signal.SIGUSR1)  # tmux(1): it makes its socket again
    wait_until_known(right, left, "first")


def test_a_peer_keeps_what_it_knew_while_tmux_hangs_and_what_it_sends_waits_for_the_end_of_that(pair: Pair) -> None:
    left, right = pair
    wait_until_known(right, left, "first")
    pid = int(left.tmux.ask("dev:", "#{pid}"))
    os.kill(pid, signal.SIGSTOP)
    try:
        version = right.registry()["slices"]["left"]["version"]
        waiting = right.popen("notify-pane", "left-dev-first", "--wait=90", "said while it hung")
        for _ in range(2):  # each scan gives up after some seconds
            left.asking.sync()
            assert "has not answered" in str(left.status().failures)
        right.asking.sync()
        assert right.registry()["slices"]["left"]["version"] == version
        wait_until_known(right, left, "first")
        assert waiting.poll() is None
    finally:
        os.kill(pid, signal.SIGCONT)
    assert waiting.wait(60) == 0
    assert left.tmux.screen("dev:first").count("said while it hung") >= 1
    left.tmux.run("rename-window", "-t", "dev:first", "alive")
    wait_until_known(right, left, "alive")
