"""A broker, and hosts of a test's own beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mesh.conftest import fresh, root
from tests.mqtt.mosquitto import Mosquitto

__all__ = ["broker", "fresh", "own", "root"]


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
