"""agentmesh setup: two hosts with a real sshd, agentmesh on one; from nothing to a first message on the other."""

import re
import sys

import pytest

from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import open_window, status
from tests.e2e.newcomers import PACKAGES, give_packages
from tests.eventually import eventually

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def bare(network: Network) -> tuple[Host, Host]:
    """Return a host with agentmesh on its PATH, and one that has just Python, tmux, and packages to install from."""
    hub, worker = network.add_host("hub"), network.add_host("worker-1")
    config = worker.outside("/run/sshd_config")
    config.write_text(config.read_text().replace(f"{sys.prefix}/bin:", f"{sys.base_prefix}/bin:"))
    worker.stop_sshd()
    worker.start_sshd()
    give_packages(worker)
    settings = worker.outside(".config/pip/pip.conf")
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[global]\nno-index = true\nfind-links = {PACKAGES}\n[install]\nno-compile = true\n")
    return hub, worker


@pytest.mark.timeout(500)  # pip takes its time
def test_from_nothing_to_the_first_message_on_another_machine(bare: tuple[Host, Host]) -> None:
    hub, worker = bare
    assert hub.run("ssh", "worker-1", "agentmesh", "--version", check=False).returncode == 127
    refused = hub.run("agentmesh", "setup", "worker-1", check=False)
    assert (refused.returncode, "give --yes" in refused.stderr) == (1, True)
    assert not hub.outside(".agents").exists()
    done = hub.run("agentmesh", "setup", "--yes", "worker-1", timeout=300)
    assert "→ worker-1-agentmesh-hello-from-hub (worker-1[agentmesh-hello:0]): hello from hub" in done.stdout
    assert "] hello from hub\n" in done.stdout.partition("capture-pane")[2]
    assert "$ agentmesh peers add worker-1\n" in done.stdout
    told = hub.run("ssh", "worker-1", ".agents/bin/agentmesh", "doctor", check=False).stdout
    assert re.search(r"✓ identity of hub +pinned", told), told
    assert {peer.state for peer in status(hub).peers} == {"up"}
    there = hub.run("ssh", "worker-1", "tmux", "list-sessions", check=False)
    assert "agentmesh-hello" not in there.stdout

    # Again, and with a person who is asked.
    open_window(hub, "dev", "me", "bash --norc")
    hub.run("tmux", "send-keys", "-t", "dev:me", "agentmesh setup worker-1", "Enter")
    eventually(lambda: "can speak for them? [Y/n]" in shown(hub), "it asks", lambda: shown(hub), seconds=120)
    hub.run("tmux", "send-keys", "-t", "dev:me", "n", "Enter")
    eventually(lambda: "\nDone." in shown(hub), "it ends", lambda: shown(hub), seconds=120)
    again = shown(hub)
    assert "Everything is in place already." in again
    assert "worker-1: added" in again
    assert "pip" not in again
    assert worker.outside(".agents/peers.conf").read_text() == "hub\n"
    assert worker.outside(".ssh/authorized_keys").read_text().count("wire --peer hub") == 1


def shown(host: Host) -> str:
    return host.run("tmux", "capture-pane", "-p", "-J", "-S", "-", "-t", "dev:me").stdout
