"""A broker, and hosts of a test's own beside it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mesh.local import LocalHost
from tests.mqtt.mosquitto import Mosquitto


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    # Sockets lie below it, and a socket's path may have 108 bytes (unix(7)).
    folder = Path(tempfile.mkdtemp(prefix="am-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def broker(root: Path) -> Iterator[Mosquitto]:
    """Yield a broker that stays as it is."""
    broker = Mosquitto(root, "shared")
    try:
        yield broker.start()
    finally:
        broker.end()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Mosquitto]:
    """Yield a broker of the test's own, which doesn't run yet."""
    broker = Mosquitto(tmp_path, "own")
    try:
        yield broker
    finally:
        broker.end()


@pytest.fixture
def host(root: Path, request: pytest.FixtureRequest) -> Iterator[LocalHost]:
    """Yield a host of the test's own, its agent not yet running."""
    host = LocalHost(f"h{abs(hash(request.node.name)) % 10**6}", root)
    try:
        yield host
    finally:
        host.end()
