"""The short folder in which the hosts of these tests live, and two that die where they are told to."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.hosts import MortalHost
from tests.mesh.conftest import root
from tests.mesh.local import befriend

__all__ = ["root"]


@pytest.fixture(scope="module")
def two(root: Path) -> Iterator[tuple[MortalHost, MortalHost]]:
    with ExitStack() as life:
        hosts = MortalHost("from", root), MortalHost("to", root)
        for host in hosts:
            life.callback(host.end)
            host.start()
        befriend(hosts)
        for host in hosts:
            host.listen(host.status().listening)
        yield hosts
