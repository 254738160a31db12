"""A chain of hosts, whose ends don't know each other's address: what one end sees of the other."""

import shutil

import pytest

from tests.eventually import eventually
from tests.mesh.conftest import Chain
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux

SECONDS = 30.0


def rename(host: LocalHost, name: str) -> str:
    """Rename a host's first window; return its new address."""
    host.tmux.run("rename-window", "-t", "dev:0", name)
    return f"{host.name}-dev-{name}"


def wait_until_known(host: LocalHost, address: str) -> None:
    eventually(
        lambda: address in host.registry().get("agents", {}),
        f"{host.name} knows {address}",
        lambda: (host.registry(), host.log),
        SECONDS,
    )


def state(host: LocalHost, other: str) -> str:
    return str(host.registry()["slices"][other]["state"])


def wait_for_state(host: LocalHost, other: str, beginning: str) -> None:
    eventually(
        lambda: state(host, other).startswith(beginning),
        f"{other} is {beginning} at {host.name}",
        lambda: (state(host, other), host.log),
        SECONDS,
    )


def test_a_rename_at_one_end_is_known_at_the_other(chain: Chain) -> None:
    west, _, east = chain
    wait_until_known(east, rename(west, "renamed"))
    wait_until_known(west, rename(east, "renamed-too"))
    wait_for_state(east, "west", "live via middle")
    assert state(east, "middle") == "live"


def test_without_the_middle_the_ends_are_stale_until_it_is_back(chain: Chain) -> None:
    west, middle, east = chain
    middle.kill()
    wait_for_state(east, "west", "stale since 2")
    address = rename(west, "meanwhile")
    wait_until_known(west, address)
    assert address not in east.registry()["agents"]
    middle.start()
    wait_until_known(east, address)
    wait_for_state(east, "west", "live via middle")


def test_a_host_whose_disk_was_restored_is_believed_again(chain: Chain) -> None:
    west, _, east = chain
    backup = west.home / "backup"
    backup.mkdir()
    west.kill()
    for path in west.agents.glob("mesh.db*"):
        shutil.copy(path, backup)
    for _ in range(2):
        west.start()
        west.kill()
    west.start()
    wait_until_known(east, rename(west, "before"))
    west.kill()
    for path in west.agents.glob("mesh.db*"):
        path.unlink()
    shutil.copytree(backup, west.agents, dirs_exist_ok=True)
    address = rename(west, "after")
    west.start()
    wait_until_known(east, address)
    assert "west-dev-before" not in east.registry()["agents"]
    assert "a newer slice of this host was heard" in west.log


def test_a_host_that_was_removed_does_not_come_back_through_a_relay(chain: Chain) -> None:
    west, middle, east = chain
    (east.agents / "peers.conf").write_text("middle\n")
    east.asking.sync()
    assert "west" not in east.registry()["slices"]
    wait_until_known(middle, rename(west, "still-there"))
    wait_until_known(east, rename(middle, "after-that"))
    middle.asking.sync()
    assert "west" not in east.registry()["slices"]
    (east.agents / "peers.conf").write_text("middle\nwest\n")
    east.asking.sync()
    wait_until_known(east, "west-dev-still-there")
