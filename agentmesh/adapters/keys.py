"""Keys: the one that a host is known by, what it signs, and public keys that people name. asyncssh's key types."""

import base64
import binascii
import os
from functools import lru_cache
from pathlib import Path

import asyncssh

from agentmesh.adapters.files import replace
from agentmesh.core.identity import Seal
from agentmesh.errors import BadConfiguration, BadKey

ALGORITHM = "ssh-ed25519"
_CACHED_KEYS = 1024


def make_key(path: Path) -> None:
    """See that the host's ed25519 key pair exists: the private half in ``path`` (0600), the public one beside it."""
    if path.exists():
        return
    key = asyncssh.generate_private_key(ALGORITHM, comment="agentmesh")
    replace(path.with_name(f"{path.name}.pub"), key.export_public_key(), 0o644)
    replace(path, key.export_private_key())


class HostKey:
    """The key that this host is known by: it calls with it, listens with it, and signs with it."""

    def __init__(self, path: Path) -> None:
        """Read the private key. Raises BadConfiguration."""
        try:
            self._key = asyncssh.read_private_key(os.fspath(path))
        except (OSError, asyncssh.KeyImportError) as error:
            raise BadConfiguration(path=path, reason=error) from error
        self.path = path
        self.public = line(self._key)
        """Algorithm and key, as in a public key's file."""

    def seal(self, text: bytes) -> Seal:
        """Sign a slice's bytes."""
        unsigned = Seal(text, self.public)
        signature = self._key.sign(unsigned.signed, self._key.sig_algorithms[0])
        return Seal(text, self.public, base64.b64encode(signature).decode())


def is_right(seal: Seal) -> bool:
    """Tell whether a seal's signature was made of its bytes, with its key."""
    try:
        return _imported(seal.key).verify(seal.signed, base64.b64decode(seal.signature, validate=True))
    except (asyncssh.KeyImportError, binascii.Error, ValueError):
        return False


def read_public_key(text: str) -> str:
    """Return algorithm and key of a public key's file. Raises BadKey."""
    if "PRIVATE KEY" in text:
        raise BadKey(reason="it is a private key, which no other host may have; give its .pub file")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1:
        raise BadKey(reason=f"it has {len(lines)} keys; give a file with one")
    try:
        return line(asyncssh.import_public_key(lines[0]))
    except asyncssh.KeyImportError as error:
        raise BadKey(reason="it is no public key in OpenSSH's form, such as ~/.agents/key.pub") from error


def fingerprint(key: str) -> str:
    """Return a key's fingerprint, as ssh-keygen prints it; empty for what is no key."""
    try:
        return _imported(key).get_fingerprint()
    except asyncssh.KeyImportError:
        return ""


def line(key: asyncssh.SSHKey) -> str:
    """Return algorithm and key, as in a public key's file."""
    return " ".join(key.export_public_key().decode().split()[:2])


@lru_cache(_CACHED_KEYS)
def _imported(line: str) -> asyncssh.SSHKey:
    return asyncssh.import_public_key(line)
