"""Membership as it is read from peers.conf."""

from pathlib import Path

import pytest

from agentmesh.config import Paths, load_peers
from agentmesh.errors import BadConfiguration


def peers_of(home: Path, alias: str, *peers: str) -> list[str]:
    (home / "self.conf").write_text(f"{alias}\n")
    (home / "peers.conf").write_text("".join(f"{peer}\n" for peer in peers))
    return load_peers(Paths(home))


def test_peers_are_read_once_each_in_their_order(tmp_path: Path) -> None:
    assert peers_of(tmp_path, "hub", "b", "a # the old one", "", "b", "hub") == ["b", "a", "hub"]


@pytest.mark.parametrize(
    ("alias", "peers"),
    [("hub", ["a.b", "c", "a-b"]), ("hub", ["Worker", "worker"]), ("a-b", ["a.b"])],
    ids=["dot", "case", "own"],
)
def test_two_hosts_whose_addresses_would_begin_alike_are_refused_by_name(
    tmp_path: Path, alias: str, peers: list[str]
) -> None:
    with pytest.raises(BadConfiguration) as refused:
        peers_of(tmp_path, alias, *peers)
    first, last = (alias, *peers)[0 if alias == "a-b" else 1], peers[-1]
    assert f"the addresses of {first} and {last} would begin alike" in str(refused.value)


def test_a_name_that_begins_like_another_is_no_clash(tmp_path: Path) -> None:
    assert peers_of(tmp_path, "worker", "worker-1", "worker-1-1") == ["worker-1", "worker-1-1"]
