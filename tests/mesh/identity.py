"""Who is who, for a host that a test makes of its parts."""

from pathlib import Path

from agentmesh.adapters.authorized_keys import AuthorizedKeys
from agentmesh.adapters.keys import HostKey, make_key
from agentmesh.agent.identities import Identities


def identities_in(folder: Path, alias: str = "hub") -> Identities:
    """Return who is who for a host with a key of its own, and files in a folder that pin keys."""
    folder.mkdir(exist_ok=True)
    make_key(folder / "key")
    files = AuthorizedKeys(folder / "ssh" / "authorized_keys", folder / "authorized_keys")
    return Identities(alias, HostKey(folder / "key"), files, require_pinned=False)
