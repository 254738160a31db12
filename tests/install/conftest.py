"""A user's home with things of the user's own in it, and a real tmux server."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.install.person import Person


@pytest.fixture
def person() -> Iterator[Person]:
    # Sockets lie below it, and a socket's path may have 108 bytes (unix(7)).
    root = Path(tempfile.mkdtemp(prefix="am-"))
    person = Person(root)
    try:
        yield person
    finally:
        person.end()
        shutil.rmtree(root)
