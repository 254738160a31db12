"""Hosts of a test's own, on loopback."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mesh.hostile import NAME
from tests.mesh.local import LocalHost, befriend
from tests.mesh.town import Town

Chain = tuple[LocalHost, LocalHost, LocalHost]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    # Sockets lie below it, and a socket's path may have 108 bytes (unix(7)).
    folder = Path(tempfile.mkdtemp(prefix="am-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def host(root: Path) -> Iterator[LocalHost]:
    host = LocalHost("solo", root)
    try:
        host.start()
        yield host
    finally:
        host.end()


@pytest.fixture
def fresh(root: Path, request: pytest.FixtureRequest) -> Iterator[LocalHost]:
    """Yield a host of the test's own, its agent not yet running."""
    host = LocalHost(f"h{abs(hash(request.node.name)) % 10**6}", root)
    try:
        yield host
    finally:
        host.end()


@pytest.fixture(scope="module")
def pair(root: Path) -> Iterator[tuple[LocalHost, LocalHost]]:
    with ExitStack() as life:
        hosts = LocalHost("left", root), LocalHost("right", root)
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts)
        yield hosts


@pytest.fixture(scope="module")
def chain(root: Path) -> Iterator[Chain]:
    """Yield three hosts in a row: the ends don't know each other's address."""
    with ExitStack() as life:
        hosts = LocalHost("west", root), LocalHost("middle", root), LocalHost("east", root)
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts, apart=[{"west", "east"}])
        for host in hosts:
            host.keep_port()
        yield hosts


@pytest.fixture(scope="module")
def town(root: Path) -> Iterator[Town]:
    with ExitStack() as life:
        hosts = LocalHost("left", root), LocalHost("right", root)
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts)
        for host in hosts:
            host.open("target", "cat")
            with (host.home / ".ssh" / "config").open("a") as config:
                config.write(f"Host {NAME}\n  HostName 127.0.0.1\n  Port 1\n")
            with (host.agents / "peers.conf").open("a") as peers:
                peers.write(f"{NAME}\n")
            host.asking.sync()
        yield Town(*hosts)
