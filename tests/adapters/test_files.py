"""Files: atomic replacement, slices as TOML, drops coming in and going out."""

import hashlib
import os
import resource
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.adapters.files import (
    Incoming,
    Outgoing,
    locked,
    make_private_folder,
    render_slices,
    replace,
    shown_path,
)
from agentmesh.core.address import Address
from agentmesh.core.model import Slice
from agentmesh.errors import BadFile, DropFailed
from tests.core.examples import NOW, a_pane, a_slice, slices, texts

MANY = 2**30


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# Replacing.


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


# Slices as TOML.


def read_back(*parts: Slice, states: dict[str, str] | None = None) -> dict[str, dict[str, dict[str, object]]]:
    return tomllib.loads(render_slices(parts, states or {}).decode())


def test_scripts_find_one_block_for_each_address() -> None:
    pane = a_pane("hub-dev-review", role="reviewer", scope="api", command="node", cwd="/work", program="codex")
    text = render_slices([a_slice(pane)], {"hub": "live"}).decode()
    assert "\n[agents.hub-dev-review]\n" in text
    assert 'target = "dev:1"\n' in text
    found = tomllib.loads(text)
    assert found["agents"]["hub-dev-review"] == {
        "host": "hub",
        "target": "dev:1",
        "session": "dev",
        "window": "review",
        "role": "reviewer",
        "scope": "api",
        "pane": pane.pane,
        "command": "node",
        "cwd": "/work",
        "program": "codex",
    }
    assert found["slices"]["hub"]["version"] == "1.0.0"
    assert found["slices"]["hub"]["state"] == "live"


def test_what_is_not_usual_is_shown_too() -> None:
    pane = a_pane("hub-dev-x.1", handle="me", server="work", formerly={Address("hub-dev-y"): NOW})
    block = read_back(a_slice(pane))["agents"]["hub-dev-x.1"]
    assert (block["handle"], block["server"], block["formerly"]) == ("me", "work", ["hub-dev-y"])


def test_an_empty_mesh_is_valid_toml() -> None:
    assert read_back(a_slice())["slices"]["hub"]["version"] == "1.0.0"
    assert not any(read_back().values())


HOSTILE = [
    "\"]\n[agents.forged]\nhost = 'x'",
    "'''",
    '"""',
    "a\\",
    "\x00\x1b\x7f\x85",
    "]",
    "#",
    "🦊 = 1",
    "\r\n",
    "= [[",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_stays_a_text(text: str) -> None:
    fields = ("window", "session", "target", "role", "scope", "command", "cwd", "program", "handle", "server")
    pane = a_pane(text, **dict.fromkeys(fields, text), formerly={Address(text): NOW})
    found = read_back(a_slice(pane, host=text), states={text: text})
    assert list(found["agents"]) == [text]
    assert all(found["agents"][text][name] == text for name in fields)
    assert list(found["slices"]) == [text]
    assert found["slices"][text]["state"] == text


@given(st.lists(slices, max_size=3, unique_by=lambda part: part.host), st.dictionaries(texts, texts))
def test_whatever_slices_hold_every_address_and_host_is_read_back(parts: list[Slice], states: dict[str, str]) -> None:
    found = read_back(*parts, states=states)
    assert set(found.get("slices", {})) == {part.host for part in parts}
    assert set(found.get("agents", {})) == {pane.address for part in parts for pane in part.panes}


# Files going out.


def test_a_file_is_measured_and_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "diff.patch"
    path.write_bytes(b"0123456789")
    with Outgoing(path) as file:
        with path.open("ab") as grown:
            grown.write(b"more")
        assert (file.name, file.size, file.sha256) == ("diff.patch", 10, hashlib.sha256(b"0123456789").hexdigest())
        assert file.read(0, 4) + file.read(4, 100) == b"0123456789"


def test_only_a_readable_regular_file_goes_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    before = descriptors()
    for name, reason in {
        "": "pack a folder first, with tar",
        "fifo": "it isn't a regular file",
        "missing": "No such file or directory",
        "loop": "Too many levels of symbolic links",
        "missing/deep": "No such file or directory",
    }.items():
        with pytest.raises(BadFile, match=reason):
            Outgoing(tmp_path / name)
    assert descriptors() == before


def test_a_file_whose_name_is_not_utf_8_can_go_out(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"odd\xff.txt")
    path.write_bytes(b"x")
    with Outgoing(path) as file:
        assert file.name == "odd�.txt"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a count)


# Files coming in.


def incoming(folder: Path, data: bytes, name: str = "diff.patch", largest: int = MANY) -> Incoming:
    return Incoming(folder, name, len(data), hashlib.sha256(data).hexdigest(), largest)


def receive(folder: Path, data: bytes, name: str = "diff.patch") -> Path:
    with incoming(folder, data, name) as file:
        file.write(data[file.offset :])
        return file.finish()


def test_a_received_file_is_whole_private_and_alone(tmp_path: Path) -> None:
    folder = tmp_path / "inbox" / "me"
    path = receive(folder, b"content")
    assert (path, path.read_bytes()) == (folder / "diff.patch", b"content")
    assert (mode(path), mode(folder)) == (0o600, 0o700)
    assert list(folder.iterdir()) == [path]


def test_an_empty_file_is_received(tmp_path: Path) -> None:
    assert receive(tmp_path, b"").read_bytes() == b""


def test_what_is_not_whole_has_no_name_yet_and_is_resumed(tmp_path: Path) -> None:
    data = b"0123456789"
    with incoming(tmp_path, data) as file:
        file.write(data[:4])
    assert [path.name.startswith(".") for path in tmp_path.iterdir()] == [True]
    with incoming(tmp_path, data) as file:
        assert file.offset == 4
        file.write(data[4:])
        assert file.finish().read_bytes() == data


def test_other_content_of_the_same_name_is_numbered(tmp_path: Path) -> None:
    paths = [receive(tmp_path, data) for data in (b"one", b"two", b"six")]
    assert [path.name for path in paths] == ["diff.patch", "diff (2).patch", "diff (3).patch"]
    assert [path.read_bytes() for path in paths] == [b"one", b"two", b"six"]


def test_the_same_content_of_the_same_name_is_one_file(tmp_path: Path) -> None:
    receive(tmp_path, b"one")
    second = receive(tmp_path, b"two")
    assert receive(tmp_path, b"two") == second
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_written_through_a_link_of_that_name(tmp_path: Path) -> None:
    inbox, victim = tmp_path / "inbox", tmp_path / "victim"
    inbox.mkdir()
    (inbox / "diff.patch").symlink_to(victim)
    assert receive(inbox, b"one").name == "diff (2).patch"
    assert not victim.exists()


@pytest.mark.parametrize("data", [b"wrong", b"rig"])
def test_content_that_is_not_what_was_announced_is_thrown_away(tmp_path: Path, data: bytes) -> None:
    with incoming(tmp_path, b"right") as file:
        file.write(data)
        with pytest.raises(DropFailed, match="not what was announced"):
            file.finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "largest", "reason"), [(4, 3, "it has 4 bytes; at most 3 are taken"), (2**62, 2**63, "bytes are free")]
)
def test_a_file_that_is_too_large_is_refused_before_a_byte_of_it(
    tmp_path: Path, size: int, largest: int, reason: str
) -> None:
    before = descriptors()
    with pytest.raises(DropFailed, match=reason):
        Incoming(tmp_path, "x", size, "0" * 64, largest)
    assert descriptors() == before


def test_more_bytes_than_announced_are_refused(tmp_path: Path) -> None:
    with incoming(tmp_path, b"right") as file, pytest.raises(DropFailed, match="more bytes came"):
        file.write(b"righteous")


def test_one_file_is_received_by_one_alone(tmp_path: Path) -> None:
    with incoming(tmp_path, b"x"), pytest.raises(DropFailed, match="it is being received already"):
        incoming(tmp_path, b"x")


def test_a_folder_that_can_not_be_made_is_a_failed_drop(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_text("a file")
    with pytest.raises(DropFailed):
        incoming(tmp_path / "inbox", b"x")


def test_a_path_in_the_home_is_shown_as_people_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shown_path(tmp_path / ".agent-inbox" / "a") == "~/.agent-inbox/a"
    assert shown_path(Path("/elsewhere")) == "/elsewhere"
