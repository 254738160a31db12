"""The two-host mesh that most end-to-end tests share."""

from collections.abc import Iterator

import pytest

from tests.e2e.hosts import Host, Network, obstacle
from tests.e2e.mesh import make_mesh


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    if reason := obstacle():
        pytest.skip(reason)
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def hosts(network: Network) -> list[Host]:
    return make_mesh(network, ["hub", "worker-1"])


@pytest.fixture
def hub(hosts: list[Host]) -> Host:
    return hosts[0]


@pytest.fixture
def worker(hosts: list[Host]) -> Host:
    return hosts[1]
