"""Drops going out and coming in."""

import hashlib
import os
import resource
import threading
import time
from pathlib import Path

import pytest

from agentmesh.adapters.incoming import KEPT_SECONDS, BeingReceived, Incoming, sweep
from agentmesh.adapters.outgoing import Outgoing, Spool, open_outgoing
from agentmesh.errors import BadFile, DropFailed


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a count)


def measured(file: Outgoing) -> Outgoing:
    file.measure(lambda _: None)
    return file


# Going out.


def test_a_file_is_measured_and_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "diff.patch"
    path.write_bytes(b"0123456789")
    with open_outgoing(path) as file:
        with path.open("ab") as grown:
            grown.write(b"more")
        measured(file)
        assert (file.name, file.size, file.sha256) == ("diff.patch", 10, hashlib.sha256(b"0123456789").hexdigest())
        assert file.read(0, 4) + file.read(4, 100) == b"0123456789"


def test_a_file_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"0123456789")
    with open_outgoing(path) as file:
        path.write_bytes(b"0")
        with pytest.raises(BadFile, match="became shorter"):
            measured(file)


def test_measuring_tells_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(3_000_000))
    heard: list[int] = []
    with open_outgoing(path) as file:
        file.measure(heard.append)
    assert len(heard) > 1
    assert sum(heard) == 3_000_000


def test_only_what_can_be_read_to_its_end_goes_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    before = descriptors()
    for name, reason in {
        "fifo": "--file - --name NAME",
        "missing": "No such file or directory",
        "loop": "Too many levels of symbolic links",
        "missing/deep": "No such file or directory",
    }.items():
        with pytest.raises(BadFile, match=reason):
            open_outgoing(tmp_path / name)
    assert descriptors() == before


def test_a_file_whose_name_is_not_utf_8_can_go_out(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"odd\xff.txt")
    path.write_bytes(b"x")
    with open_outgoing(path) as file:
        assert file.name == "odd�.txt"


def test_what_comes_from_a_stream_goes_out_as_a_file_and_is_never_seen(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "diff.patch", largest=10)
    spool.write(b"01234")
    spool.write(b"56789")
    assert list(tmp_path.iterdir()) == []
    with spool.outgoing() as file:
        measured(file)
        assert (file.name, file.size, file.sha256) == ("diff.patch", 10, hashlib.sha256(b"0123456789").hexdigest())
        assert file.read(3, 4) == b"3456"


def test_a_stream_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    before = descriptors()
    spool = Spool(tmp_path, "x", largest=3)
    with pytest.raises(BadFile, match="more than 3 bytes"):
        spool.write(b"0123")
    spool.close()
    assert descriptors() == before


# Coming in.


def incoming(folder: Path, data: bytes, name: str = "diff.patch") -> Incoming:
    return Incoming(folder, name, len(data), hashlib.sha256(data).hexdigest())


def receive(folder: Path, data: bytes, name: str = "diff.patch") -> Path:
    with incoming(folder, data, name) as file:
        file.write(data[file.offset :])
        place = file.finish()
    assert place
    return place


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
        place = file.finish()
    assert place
    assert place.read_bytes() == data


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


def test_what_a_cut_has_left_is_thrown_away_when_it_proves_wrong(tmp_path: Path) -> None:
    data = b"0123456789"
    with incoming(tmp_path, data) as file:
        file.write(b"0x23")
    with incoming(tmp_path, data) as file:
        file.write(data[4:])
        assert file.finish() is None
        assert file.offset == 0
        file.write(data)
        place = file.finish()
    assert place
    assert place.read_bytes() == data
    assert list(tmp_path.iterdir()) == [place]


def test_a_part_that_is_longer_than_the_file_is_not_gone_on_from(tmp_path: Path) -> None:
    data = b"0123456789"
    with incoming(tmp_path, data) as file:
        file.write(data[:4])
    (part,) = tmp_path.iterdir()
    part.write_bytes(bytes(20))
    assert receive(tmp_path, data).read_bytes() == data


def test_content_that_is_not_what_was_announced_is_thrown_away(tmp_path: Path) -> None:
    with incoming(tmp_path, b"right") as file:
        file.write(b"wrong")
        with pytest.raises(DropFailed, match="not what was announced"):
            file.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_here_already_is_not_wanted_again(tmp_path: Path) -> None:
    first = receive(tmp_path, b"content")
    with incoming(tmp_path, b"content") as file:
        assert file.missing == 0
        assert file.finish() == first
    assert list(tmp_path.iterdir()) == [first]


@pytest.mark.parametrize(("size", "spoken_for"), [(2**62, 0), (1, 2**62)])
def test_a_file_that_finds_no_room_is_refused_before_a_byte_of_it(tmp_path: Path, size: int, spoken_for: int) -> None:
    before = descriptors()
    with pytest.raises(DropFailed, match="don't fit on its disk"):
        Incoming(tmp_path, "x", size, "0" * 64, spoken_for)
    assert descriptors() == before
    assert list(tmp_path.iterdir()) == []


def test_what_can_not_be_written_is_a_failed_drop(tmp_path: Path) -> None:
    data = bytes(1000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with incoming(tmp_path, data) as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            with pytest.raises(DropFailed, match="File too large"):
                file.write(data)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert file.offset == 100
        file.write(data[100:])
        assert file.finish()


def test_more_bytes_than_announced_are_refused(tmp_path: Path) -> None:
    with incoming(tmp_path, b"right") as file, pytest.raises(DropFailed, match="more bytes came"):
        file.write(b"righteous")


def test_one_file_is_received_by_one_alone(tmp_path: Path) -> None:
    with incoming(tmp_path, b"x"), pytest.raises(BeingReceived):
        incoming(tmp_path, b"x")


def test_a_folder_that_can_not_be_made_is_a_failed_drop(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_text("a file")
    with pytest.raises(DropFailed):
        incoming(tmp_path / "inbox", b"x")


def test_whoever_waited_finds_the_file_that_another_has_received(tmp_path: Path) -> None:
    places: list[Path] = []

    def arrive() -> None:
        while True:
            try:
                with incoming(tmp_path, b"content") as file:
                    file.write(b"content"[file.offset :])
                    places.append(file.finish() or Path())
            except BeingReceived:
                continue
            return

    threads = [threading.Thread(target=arrive) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert places == [tmp_path / "diff.patch"] * 8
    assert [path.name for path in tmp_path.iterdir()] == ["diff.patch"]


def test_old_parts_are_swept_and_nothing_else(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    receive(inbox / "me", b"whole", "whole.txt")
    for data in (b"old", b"new"):
        with incoming(inbox / "me", data) as file:
            file.write(data[:1])
    old = inbox / "me" / f".{hashlib.sha256(b'old').hexdigest()[:32]}.part"
    long_ago = time.time() - KEPT_SECONDS - 60
    for path in (old, inbox / "me" / "whole.txt"):
        os.utime(path, (long_ago, long_ago))
    assert sweep(inbox) == 1
    assert sorted(path.name[:6] for path in (inbox / "me").iterdir()) == [
        f".{hashlib.sha256(b'new').hexdigest()[:5]}",
        "whole.",
    ]
    assert sweep(tmp_path / "missing") == 0
