"""The host's key, what it signs, and keys that people name."""

import base64
from pathlib import Path

import asyncssh
import msgspec
import pytest

from agentmesh.adapters.keys import HostKey, fingerprint, is_right, make_key, read_public_key
from agentmesh.core.identity import Seal
from agentmesh.errors import BadConfiguration, BadKey


@pytest.fixture
def key(tmp_path: Path) -> HostKey:
    make_key(tmp_path / "key")
    return HostKey(tmp_path / "key")


def test_a_key_pair_is_made_once_and_its_private_half_is_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_key(path)
    private = path.read_bytes()
    make_key(path)
    assert path.read_bytes() == private
    assert path.stat().st_mode & 0o777 == 0o600
    assert asyncssh.read_private_key(path).get_algorithm() == "ssh-ed25519"
    assert read_public_key((tmp_path / "key.pub").read_text()) == HostKey(path).public


def test_a_signature_fits_its_bytes_and_its_key_alone(key: HostKey, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    seal = key.seal(b'{"host":"hub"}')
    assert is_right(seal)
    for change in (
        {"text": b'{"host":"hun"}'},
        {"key": HostKey(tmp_path / "other").public},
        {"key": "ssh-ed25519 AAAA"},
        {"key": ""},
        {"signature": seal.signature[:-8]},
        {"signature": "not base64!"},
        {"signature": "é"},
        {"signature": ""},
    ):
        assert not is_right(msgspec.structs.replace(seal, **change)), change


def test_a_signature_of_the_bare_bytes_is_none_of_a_slice(key: HostKey, tmp_path: Path) -> None:
    bare = asyncssh.read_private_key(tmp_path / "key").sign(b"text", b"ssh-ed25519")
    assert not is_right(Seal(b"text", key.public, base64.b64encode(bare).decode()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has 0 keys"),
        ("hello\n", "no public key"),
        ("ssh-ed25519 AAAA broken\n", "no public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nxyz\n", "give its .pub file"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadKey, match=reason):
        read_public_key(text)


def test_one_key_is_named_at_a_time(key: HostKey) -> None:
    assert read_public_key(f"# mine\n{key.public} me@here\n\n") == key.public
    with pytest.raises(BadKey, match="it has 2 keys"):
        read_public_key(f"{key.public}\n{key.public}\n")


def test_a_private_key_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("broken")
    with pytest.raises(BadConfiguration):
        HostKey(tmp_path / "key")


def test_a_fingerprint_is_that_of_ssh(key: HostKey) -> None:
    assert fingerprint(key.public).startswith("SHA256:")
    assert fingerprint("nonsense") == ""
