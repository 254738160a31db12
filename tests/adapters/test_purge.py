"""Which files hold a conversation, and that nothing else is ever removed."""

import json
from pathlib import Path

import pytest

from agentmesh.adapters.purge import files_of, remove
from agentmesh.core.model import SessionProfile


def a_profile(top: Path) -> SessionProfile:
    return SessionProfile(
        launch=("program",),
        conversations=f"{top}/*/*.jsonl",
        conversation_id="id",
        conversation_folder="cwd",
    )


def write(path: Path, identifier: str, folder: str = "/work") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"id": identifier, "cwd": folder}) + "\n")
    return path


def test_only_files_that_say_themselves_whose_they_are_are_found(tmp_path: Path) -> None:
    top = tmp_path / "projects"
    mine = write(top / "work" / "one.jsonl", "mine")
    write(top / "work" / "two.jsonl", "another")
    write(top / "work" / "three.jsonl", "mine", "/elsewhere")
    write(top / "work" / "mine.txt", "mine")
    (top / "work" / "mine.jsonl").mkdir()
    (top / "work" / "empty.jsonl").touch()
    profile = a_profile(top)
    assert files_of(profile, "mine", "/work") == [str(mine)]
    remove(profile, "/work", str(mine))
    assert files_of(profile, "mine", "/work") == []
    left = {"two.jsonl", "three.jsonl", "mine.txt", "mine.jsonl", "empty.jsonl"}
    assert {path.name for path in (top / "work").iterdir()} == left


def test_no_link_is_followed(tmp_path: Path) -> None:
    top = tmp_path / "projects"
    outside = write(tmp_path / "outside" / "one.jsonl", "mine")
    (top / "work").mkdir(parents=True)
    (top / "work" / "one.jsonl").symlink_to(outside)
    (top / "linked").symlink_to(outside.parent)
    profile = a_profile(top)
    assert files_of(profile, "mine", "/work") == []
    for path in (top / "work" / "one.jsonl", top / "linked" / "one.jsonl"):
        with pytest.raises(OSError, match=r"plain|ymbolic|directory"):
            remove(profile, "/work", str(path))
    with pytest.raises(ValueError, match="leaves"):
        remove(profile, "/work", f"{top}/../outside/one.jsonl")
    with pytest.raises(OSError, match="plain"):
        remove(profile, "/work", str(top / "work"))
    assert outside.exists()
    assert (top / "work" / "one.jsonl").is_symlink()


def test_a_file_whose_path_says_whose_it_is_is_found_in_the_folder_itself(tmp_path: Path) -> None:
    folder = tmp_path / "work [1]"
    folder.mkdir()
    mine, other = folder / ".chat.mine.md", folder / ".chat.another.md"
    mine.touch()
    other.touch()
    profile = SessionProfile(launch=("program",), conversations="{cwd}/.chat.{conversation}.md")
    assert files_of(profile, "mine", str(folder)) == [str(mine)]
    remove(profile, str(folder), str(mine))
    assert list(folder.iterdir()) == [other]
