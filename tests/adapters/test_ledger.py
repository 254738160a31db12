"""A file of lines that several processes append to: nothing is lost, and what a crash has left is cut off."""

import subprocess
import sys
from pathlib import Path

import pytest

from agentmesh.adapters.ledger import append, read

APPENDER = Path(__file__).with_name("programs") / "appending.py"


def test_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    words = [[sys.executable, str(APPENDER), str(path), name, "50"] for name in "abcd"]
    appending = [subprocess.Popen(each) for each in words]
    assert [process.wait(60) for process in appending] == [0] * 4
    numbers = [int(line.split()[0]) for line in read(path)]
    assert numbers == list(range(1, 201))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("lines", [[], [b"one"], [b"one", b"two"], [b"x" * 200_000, b"y" * 100_000]])
@pytest.mark.parametrize("left", [b"", b"torn", b"z" * 150_000])
def test_what_follows_is_told_the_last_whole_line(tmp_path: Path, lines: list[bytes], left: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + left)
    told: list[bytes] = []

    def following(last: bytes) -> list[bytes]:
        told.append(last)
        return [b"next"]

    append(path, following)
    assert told == [lines[-1] if lines else b""]
    assert read(path) == [*lines, b"next"]


def test_where_nothing_follows_only_what_is_torn_goes(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntorn")
    append(path, lambda _: [])
    assert path.read_bytes() == b"one\n"
    assert read(tmp_path / "none") == []
