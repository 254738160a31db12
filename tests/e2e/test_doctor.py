"""agentmesh doctor and the peers, with a real sshd: at which step a peer is lost, each provoked once."""

import pytest

from agentmesh.core.finding import Finding
from agentmesh.core.model import Standing
from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import all_up, asking, make_mesh, start_agent
from tests.eventually import eventually
from tests.findings import BROKEN, OK, WARNING, findings, lie

pytestmark = pytest.mark.hosts

_LISTENER = "import socket,time; s=socket.create_server(('', 7)); print('ready', flush=True); time.sleep(600)"

SSH_CONFIG = """\
Host nameless
    HostName nowhere.invalid
Host portless
    HostName {address}
    Port 2
Host mute
    HostName {address}
    Port 7
Host stranger
    HostName {address}
    UserKnownHostsFile .ssh/knows-nobody
Host keyless
    HostName {address}
    HostKeyAlias worker-1
    User nobody
Host bare
    HostName {address}
    HostKeyAlias worker-1
    IdentitiesOnly yes
    IdentityFile .ssh/bare
Host nickname
    HostName {address}
    HostKeyAlias worker-1
"""
LOST = ("nameless", "portless", "mute", "stranger", "keyless", "bare", "nickname")


@pytest.fixture(scope="module")
def trio(network: Network) -> list[Host]:
    """Return three hosts of which hub and east can't dial each other, though both have a link to worker-1."""

    def part(hosts: list[Host]) -> None:
        hub, _, east = hosts
        for host, other in ((hub, east), (east, hub)):
            config = host.outside(".ssh/config")
            config.write_text(f"Host {other.name}\n    Port 2\n{config.read_text()}")

    hosts = make_mesh(network, ["hub", "worker-1", "east"], part)
    for host in (hosts[0], hosts[2]):
        eventually(lambda host=host: standing(host, "worker-1").state == "up", "a link", network.diagnose)  # type: ignore[misc]
    return hosts


def standing(host: Host, peer: str) -> Standing:
    return next(other for other in asking(host).peers() if other.host == peer)


def examined(host: Host) -> dict[str, Finding]:
    done = host.run("agentmesh", "doctor", "--json", check=False)
    assert done.returncode in {0, 4}, done
    return findings(done.stdout)


def test_each_way_in_which_a_peer_is_lost_has_its_remedy(network: Network, trio: list[Host]) -> None:
    hub, worker, _ = trio
    listener = worker.start("python", "-c", _LISTENER)
    eventually(lambda: "ready" in listener.output.read_text(), "something listens that never speaks")
    with hub.outside(".ssh/config").open("a") as file:
        file.write(SSH_CONFIG.format(address=worker.address))
    hub.outside(".ssh/knows-nobody").touch()
    hub.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ".ssh/bare")
    with worker.outside(".ssh/authorized_keys").open("a") as file:
        file.write(f'command="no-such-program" {hub.outside(".ssh/bare.pub").read_text()}')
    peers = hub.outside(".agents/peers.conf")
    before = peers.read_text()
    peers.write_text("".join(f"{name}\n" for name in ("worker-1", "east", *LOST)))
    try:
        eventually(lambda: standing(hub, "east").via == "worker-1", "east is reached", network.diagnose)
        found = examined(hub)
    finally:
        peers.write_text(before)
        listener.kill()
    assert {name: found[f"peer {name}"].state for name in LOST} == dict.fromkeys(LOST, BROKEN)
    told = {name: (finding.seen, finding.remedy) for name in (*LOST, "east") for finding in (found[f"peer {name}"],)}
    assert told["nameless"][0] == "its name has no address"
    assert told["portless"][0] == "nothing listens at its SSH port"
    assert told["mute"][0] == "no answer within 5 s"
    assert told["stranger"] == (
        "its host key isn't known here",
        "look at it, and accept it, with: ssh stranger true",
    )
    assert told["keyless"] == ("it takes none of this host's keys", "ssh-copy-id keyless")
    assert told["bare"] == ("agentmesh isn't installed there", "agentmesh setup bare")
    assert told["nickname"][0] == "it calls itself worker-1"
    assert told["east"][0] == "reached via worker-1 alone: nothing listens at its SSH port"
    assert found["peer east"].state is WARNING
    assert found["peer worker-1"].state is OK
    assert found["identity of worker-1"].state is WARNING
    assert found["identity of worker-1"].seen == "claimed when it calls: no key is pinned to it"
    assert found["identity of worker-1"].remedy == "agentmesh peers authorize worker-1"


def test_a_peer_of_another_version_whose_clock_is_wrong_and_whose_key_is_not_the_pinned_one(
    network: Network, trio: list[Host]
) -> None:
    hub, worker, east = trio
    hub.run("agentmesh", "peers", "authorize", "worker-1")
    eventually(lambda: all_up(worker), "worker-1 calls with its own key, or hub does", network.diagnose)
    assert examined(hub)["identity of worker-1"].state is OK
    hub.run("agentmesh", "peers", "revoke", "worker-1")
    hub.run("agentmesh", "peers", "authorize", "worker-1", "-", stdin=east.outside(".agents/key.pub").read_text())
    worker.run("agentmesh", "stop")
    agent = worker.start("agentmesh", "run", env=lie(worker.outside("lie"), worker.home / "lie"))
    try:
        eventually(asking(worker).answers, "the agent answers")
        found = examined(hub)
        assert found["version of worker-1"].seen.startswith("agentmesh 0.0.1 there, ")
        assert (found["version of worker-1"].state, found["clock of worker-1"].state) == (WARNING, WARNING)
        assert "s ahead of this host's" in found["clock of worker-1"].seen
        assert found["identity of worker-1"].state is BROKEN
        assert found["identity of worker-1"].seen.endswith(", isn't the one that is pinned to it")
    finally:
        agent.terminate()
        agent.wait(30)
        hub.run("agentmesh", "peers", "revoke", "worker-1")
        start_agent(worker)


def test_a_peer_that_refuses_and_one_that_is_only_linked(network: Network, trio: list[Host]) -> None:
    hub, worker, east = trio
    worker.run("agentmesh", "peers", "authorize", "hub", "-", stdin=east.outside(".agents/key.pub").read_text())
    try:
        found = examined(hub)["peer worker-1"]
        assert found.state is not OK  # worker-1 may have dialled meanwhile, which hub doesn't refuse
        assert "it refuses: worker-1 said: " in found.seen
    finally:
        worker.run("agentmesh", "peers", "revoke", "hub")
    eventually(lambda: standing(east, "worker-1").state == "up", "a link", network.diagnose)
    worker.stop_sshd()
    try:
        found = examined(east)["peer worker-1"]
        assert found.state is WARNING
        assert found.seen == "linked, but it can't be dialled from here: nothing listens at its SSH port"
    finally:
        worker.start_sshd()
