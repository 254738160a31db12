"""Messages and files between hosts that reach each other only through a third."""

import pytest

from tests.eventually import eventually
from tests.mesh.conftest import Chain
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux


def wait_until_reached(host: LocalHost, other: LocalHost) -> None:
    """Wait until a host knows the other one's pane, and that it lives."""

    def is_reached() -> bool:
        state = str(host.registry().get("slices", {}).get(other.name, {}).get("state"))
        return f"{other.name}-dev-first" in host.addresses() and state.startswith("live")

    eventually(is_reached, f"{host.name} reaches {other.name}", lambda: (host.registry(), host.log), 30.0)


def test_a_message_goes_over_a_hop_both_ways_and_its_receipt_names_it(chain: Chain) -> None:
    west, _, east = chain
    for one, other in ((west, east), (east, west)):
        wait_until_reached(one, other)
        sent = one.notify(f"{other.name}-dev-first", "over the middle")
        assert (sent.returncode, sent.stderr) == (0, ""), (one.log, other.log)
        assert sent.stdout == f"→ {other.name}-dev-first ({other.name}[dev:0] via middle): over the middle\n"
        assert f"[from {one.name} @ " in other.tmux.screen("dev:first")
        assert one.receipt(f"{other.name}-dev-first", "again").via == "middle"


def test_a_file_goes_over_a_hop(chain: Chain) -> None:
    west, _, east = chain
    wait_until_reached(west, east)
    (west.home / "data.bin").write_bytes(bytes(range(256)) * 20_000)
    sent = west.notify("east-dev-first", "--file", "data.bin")
    assert (sent.returncode, sent.stderr) == (0, ""), (west.log, east.log)
    assert (east.home / ".agent-inbox/west/data.bin").read_bytes() == (west.home / "data.bin").read_bytes()
