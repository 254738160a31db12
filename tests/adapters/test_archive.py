"""A folder as a tar archive that is never written."""

import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.adapters.archive import Archive
from agentmesh.adapters.outgoing import open_outgoing
from agentmesh.errors import BadFile

LONG = "l" * 120


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a folder that holds some of everything."""
    tree = tmp_path / "src"
    (tree / "deep" / LONG).mkdir(parents=True)
    (tree / "empty").mkdir()
    (tree / "deep" / LONG / "file").write_bytes(os.urandom(3000))
    (tree / "none").write_bytes(b"")
    (tree / "exact").write_bytes(os.urandom(1024))
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o755)
    (tree / "ünï \n code").write_text("x")
    (tree / os.fsdecode(b"odd\xff")).write_text("y")
    (tree / "link").symlink_to("/etc/passwd")
    (tree / "around").symlink_to("..")
    (tree / ("k" * 90)).symlink_to("z" * 150)
    return tree


def whole(archive: Archive) -> bytes:
    data = archive.read(0, archive.size)
    assert len(data) == archive.size
    return data


def shape(folder: Path) -> dict[str, tuple[int, object]]:
    """Return what is below a folder: kinds with permissions, and contents."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None,
        )
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("program", ["tar", "tarfile"])
def test_a_folder_is_the_same_after_unpacking(tree: Path, tmp_path: Path, program: str) -> None:
    packed, there = tmp_path / "src.tar", tmp_path / "there"
    packed.write_bytes(whole(Archive(tree, "src")))
    there.mkdir()
    if program == "tar":
        subprocess.run(["tar", "xf", packed, "-C", there], check=True)
    else:
        with tarfile.open(packed) as archive:
            archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)  # Python 3.11.4 brought it
            archive.extractall(there)  # noqa: S202 (it is our own)
    assert shape(there / "src") == shape(tree)
    assert (there / "src" / "none").stat().st_mtime == int((tree / "none").stat().st_mtime)


def test_the_same_tree_is_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(tree, twin, symlinks=True)
    for path in (twin, *twin.rglob("*")):
        times = (tree / path.relative_to(twin)).lstat()
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)
    assert whole(Archive(twin, "src")) == whole(Archive(tree, "src"))


@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 9000)), max_size=20))
def test_any_part_of_an_archive_is_what_the_whole_has_there(parts: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, size in {"a": 0, "b": 1, "c": 511, "d": 512, "e": 9000, "f" * 150: 3}.items():
            (Path(folder) / name).write_bytes(os.urandom(size))
        archive = Archive(Path(folder), "x")
        data = whole(archive)
        for offset, size in parts:
            assert archive.read(min(offset, archive.size), size) == data[offset : offset + size]
        archive.close()


def test_who_owns_a_file_is_not_told(tree: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(whole(Archive(tree, "src")))) as archive:
        assert {(info.uid, info.gid, info.uname, info.gname) for info in archive} == {(0, 0, "", "")}


def test_what_is_no_file_is_left_out_and_named(tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fsencode(tree / "sock"))
    archive = Archive(tree, "src")
    assert [path.name for path in archive.left_out] == ["fifo", "sock"]
    with tarfile.open(fileobj=io.BytesIO(whole(archive))) as packed:
        assert not {"src/fifo", "src/sock"} & set(packed.getnames())


@pytest.mark.parametrize("change", ["grow", "shrink", "replace", "remove", "redirect"])
def test_a_file_that_changes_while_its_folder_is_read_is_an_error(tree: Path, change: str) -> None:
    archive = Archive(tree, "src")
    path = tree / "exact"
    data = path.read_bytes()
    match change:
        case "grow":
            path.write_bytes(data * 2)
        case "shrink":
            path.write_bytes(data[:10])
        case "replace":
            (tree.parent / "other").write_bytes(data)
            (tree.parent / "other").rename(path)
        case "remove":
            path.unlink()
        case _:
            path.unlink()
            path.symlink_to("/etc/passwd")
    with pytest.raises(BadFile, match=r"exact"):
        whole(archive)
    archive.close()


def test_a_folder_is_called_as_it_was_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree.parent / "alias").symlink_to(tree)
    monkeypatch.chdir(tree / "deep")
    for path, name in {tree: "src", tree.parent / "alias": "alias", Path(".."): "src"}.items():
        with open_outgoing(path) as file:
            assert (file.name, file.folder) == (f"{name}.tar", True)
            assert f"{name}/".encode() in file.read(0, 512)


def test_a_folder_that_does_not_exist_any_more_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        Archive(tmp_path / "gone", "gone")
