"""Conversations on disk, in the forms that programs keep them in."""

import json
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from agentmesh.adapters.conversations import Conversations
from agentmesh.core.model import SessionProfile


def found(profile: SessionProfile, folder: Path) -> list[tuple[str, str]]:
    """Return the ids and folders that are found."""
    return sorted((one.id, one.folder) for one in Conversations().find(profile, str(folder)))


def test_ids_and_folders_are_read_from_json_lines_or_from_the_path(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "a [b] {conversation}*?"
    for each in (home, folder):
        each.mkdir()
    digest = sha256(str(folder).encode()).hexdigest()
    lines = ["no JSON", json.dumps({"id": "no folder"}), json.dumps({"data": {"id": "one", "in": digest}})]
    (home / "1.jsonl").write_text("\n".join(lines))
    (home / "2.jsonl").write_text(json.dumps({"data": {"id": "two", "in": "/elsewhere"}}))
    (home / "3.jsonl").write_text("")
    told = SessionProfile(
        launch=("x",), conversations=f"{home}/*.jsonl", conversation_id="data.id", conversation_folder="data.in"
    )
    assert found(told, folder) == [("one", str(folder)), ("two", "/elsewhere")]

    for name in (".chat.7-f.md", ".chat.8.md", ".chat.9.9.md", "chat.7.md"):
        (folder / name).touch()
    named = SessionProfile(launch=("x",), conversations="{cwd}/.chat.{conversation}.md")
    assert found(named, folder) == [("7-f", str(folder)), ("8", str(folder))]
    (home / "deep").mkdir()
    (home / "deep" / "events").touch()
    inside = SessionProfile(launch=("x",), conversations=f"{home}/{{conversation}}/events")
    assert found(inside, folder) == [("deep", str(folder))]


@pytest.mark.parametrize(
    "facts",
    [
        {"conversations": "~/x/*.jsonl"},
        {"conversations": "~/x/*.jsonl", "conversation_id": "id"},
        {"conversations": "~/x/{conversation}.jsonl", "conversation_id": "id"},
    ],
)
def test_a_profile_must_tell_where_the_id_and_the_folder_are(facts: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match="conversation_folder"):
        msgspec.convert({"launch": ["x"], **facts}, SessionProfile)
