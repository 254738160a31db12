"""Files: atomic replacement, locks, private folders."""

import resource
import threading
from pathlib import Path

import pytest

from agentmesh.adapters.files import locked, make_private_folder, replace, shown_path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_reader_sees_the_old_file_or_the_new_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    versions = [bytes([letter]) * 200_000 for letter in b"ab"]
    replace(path, versions[0])
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 40):
        replace(path, versions[number % 2])
    done.set()
    reader.join()
    assert seen
    assert seen <= set(versions)


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace(path, b"same")
    before = path.stat()
    replace(path, b"same")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    replace(path, b"other")
    assert path.stat().st_ino != before.st_ino


def test_a_replaced_file_is_private_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"same")
    path.chmod(0o644)
    replace(path, b"same")
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_can_not_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            replace(path, b"new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}


def test_a_private_folder_is_closed_though_it_existed(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    for folder in (tmp_path / "open", tmp_path / "new" / "deep"):
        make_private_folder(folder)
        assert mode(folder) == 0o700


def test_a_lock_is_held_by_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path), pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    with locked(path, wait=False):
        assert mode(path) == 0o600


def test_a_path_in_the_home_is_shown_as_people_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shown_path(tmp_path / ".agent-inbox" / "a") == "~/.agent-inbox/a"
    assert shown_path(Path("/elsewhere")) == "/elsewhere"
