"""The files that say which keys may call: edited in place, atomically, and read as they are."""

from pathlib import Path

import pytest

from agentmesh.adapters.authorized_keys import AuthorizedKeys
from agentmesh.core.identity import Pin
from agentmesh.errors import BadConfiguration, BadKey

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmnrcj4"
PIN = Pin("worker", KEY)
COMMAND = "/h/bin/agentmesh wire --peer worker"


@pytest.fixture
def files(tmp_path: Path) -> AuthorizedKeys:
    (tmp_path / "agents").mkdir()
    return AuthorizedKeys(tmp_path / ".ssh" / "authorized_keys", tmp_path / "agents" / "authorized_keys")


def test_a_file_is_made_private_in_a_private_folder(files: AuthorizedKeys) -> None:
    assert files.pins() == frozenset()
    assert files.pin(files.of_sshd, PIN, COMMAND)
    assert files.of_sshd.stat().st_mode & 0o777 == 0o600
    assert files.of_sshd.parent.stat().st_mode & 0o777 == 0o700
    assert files.pins() == {PIN}
    assert not files.pin(files.of_sshd, PIN, COMMAND)


def test_bytes_of_no_encoding_go_back_as_they_were(files: AuthorizedKeys) -> None:
    before = b"# caf\xe9 \xff\r\nssh-rsa AAAA x"
    files.of_sshd.parent.mkdir()
    files.of_sshd.write_bytes(before)
    files.pin(files.of_sshd, PIN, COMMAND)
    assert files.of_sshd.read_bytes().startswith(before + b"\n")
    assert files.unpin("worker") == 1
    assert files.of_sshd.read_bytes() == before + b"\n"


def test_a_link_is_written_through(files: AuthorizedKeys, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles"
    target.write_text("# mine\n")
    files.of_sshd.parent.mkdir()
    files.of_sshd.symlink_to(target)
    files.pin(files.of_sshd, PIN, COMMAND)
    assert files.of_sshd.is_symlink()
    assert "wire --peer worker" in target.read_text()


def test_a_key_that_may_log_in_is_not_pinned(files: AuthorizedKeys) -> None:
    files.of_agent.write_text(f"# first\nno-pty {KEY} me\n")
    with pytest.raises(BadKey, match=r"log in here already, by line 2 of .*agents/authorized_keys; remove that line"):
        files.pin(files.of_sshd, PIN, COMMAND)
    assert not files.of_sshd.exists()


def test_a_key_speaks_for_one_host(files: AuthorizedKeys) -> None:
    files.pin(files.of_agent, PIN, COMMAND)
    with pytest.raises(BadKey, match="pinned to worker; run `agentmesh peers revoke worker` first"):
        files.pin(files.of_sshd, Pin("other", KEY), COMMAND)


def test_a_revoked_name_is_gone_from_both_files(files: AuthorizedKeys) -> None:
    for file in files.files:
        files.pin(file, PIN, COMMAND)
    assert files.unpin("worker") == 2
    assert files.pins() == frozenset()
    assert files.unpin("worker") == 0


def test_a_file_that_can_not_be_read_is_no_empty_file(files: AuthorizedKeys) -> None:
    files.of_sshd.mkdir(parents=True)
    with pytest.raises(BadConfiguration):
        files.pins()
