"""tmux ends, comes back, can't be found, hangs: when the slice empties, and when it stands."""

import os
import signal

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux


def wait_for_addresses(host: LocalHost, *windows: str) -> None:
    wanted = [f"{host.name}-dev-{window}" for window in windows]
    eventually(lambda: host.addresses() == wanted, f"{wanted} are registered", lambda: (host.addresses(), host.log))


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
        assert fresh.run("agentmesh", "sync").returncode == 0
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
