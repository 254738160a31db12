"""A mesh with more hosts than an agent keeps links to: who is up is found, and nobody is lost."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.mesh.local import LocalHost, befriend

pytestmark = pytest.mark.tmux

GHOSTS = [f"ghost-{number:02}" for number in range(40)]
"""Members that are down: nobody listens where they should."""


@pytest.fixture
def lonely(root: Path) -> Iterator[tuple[LocalHost, LocalHost]]:
    """Yield two hosts among many that are down, in a mesh where an agent keeps few links; one of them runs."""
    with ExitStack() as life:
        hosts = LocalHost("alpha", root), LocalHost("omega", root)
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts)
        for host in hosts:
            host.keep_port()
            with (host.agents / "config.toml").open("a") as config:
                config.write("[mesh]\nfull = 4\n")
            with (host.agents / "peers.conf").open("a") as peers:
                peers.writelines(f"{ghost}\n" for ghost in GHOSTS)
            with (host.home / ".ssh" / "config").open("a") as ssh:
                ssh.write("Host ghost-*\n  HostName 127.0.0.1\n  Port 1\n")
            host.kill()
        hosts[0].start()
        yield hosts


def state(host: LocalHost, other: str) -> str:
    return next(peer.state for peer in host.status().peers if peer.host == other)


def test_two_hosts_find_each_other_among_many_that_are_down(lonely: tuple[LocalHost, LocalHost]) -> None:
    alpha, omega = lonely
    assert sum(peer.state == "connecting" for peer in alpha.status().peers) < len(GHOSTS) / 2
    omega.start()
    for one, other in ((alpha, omega), (omega, alpha)):
        eventually(lambda one=one, other=other: state(one, other.name) == "up", "they have a link", one.status)  # type: ignore[misc]
    assert alpha.notify("omega-dev-first", "found you").returncode == 0
    assert "found you" in omega.tmux.screen("dev:first")
