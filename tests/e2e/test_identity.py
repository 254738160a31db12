"""Pinned keys with a real sshd: what such a key can do, and whom it speaks for."""

from collections.abc import Iterator

import msgspec
import pytest

from agentmesh.cli.peers import Peer
from agentmesh.core.model import Letter
from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import knows, open_window, screen, start_agent
from tests.eventually import eventually

pytestmark = pytest.mark.hosts

KEY_ONLY = ["-i", ".agents/key", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]


@pytest.fixture
def pinned(network: Network, hub: Host) -> Iterator[None]:
    """Let hub know worker-1 by its own key, for one test."""
    told = hub.run("agentmesh", "peers", "authorize", "worker-1").stdout
    assert "is now pinned, in ~/.ssh/authorized_keys" in told
    eventually(lambda: identity(hub, "worker-1") == "pinned", "worker-1 calls with its own key", network.diagnose)
    yield
    hub.run("agentmesh", "peers", "revoke", "worker-1", check=False)


def identity(host: Host, peer: str) -> str:
    known = msgspec.json.decode(host.run("agentmesh", "peers", "--json").stdout, type=list[Peer])
    return next((other.identity for other in known if other.host == peer), "")


def log(host: Host) -> str:
    return host.outside(".agents/log/agent.log").read_text()


def test_login_keys_go_on_working_and_are_claims(hub: Host, worker: Host) -> None:
    open_window(hub, "dev", "inbox", "cat")
    eventually(knows(worker, "hub-dev-inbox"), "worker-1 knows the pane")
    worker.run("notify-pane", "hub-dev-inbox", "with a login key")
    (letter,) = msgspec.json.decode(hub.run("agentmesh", "inbox", "--json").stdout, type=list[Letter])
    assert letter.origin.host == "worker-1"
    assert letter.origin.identity in {"claimed", "host key"}
    assert "[from worker-1 @ " in screen(hub, "dev:inbox")


def test_a_pin_is_added_to_what_stands_in_the_file_and_taken_back(hub: Host) -> None:
    file = hub.outside(".ssh/authorized_keys")
    before = file.read_text()
    hub.run("agentmesh", "peers", "authorize", "worker-1")
    pinned = file.read_text()
    assert pinned.startswith(before)
    assert pinned.removeprefix(before).startswith(
        f'restrict,command="{hub.home}/.agents/bin/agentmesh wire --peer worker-1" ssh-ed25519 '
    )
    hub.run("agentmesh", "peers", "authorize", "worker-1")
    assert file.read_text() == pinned
    hub.run("agentmesh", "peers", "revoke", "worker-1")
    assert file.read_text() == before
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("pinned")
def test_a_pinned_key_gets_no_shell_no_command_and_no_terminal(hub: Host, worker: Host) -> None:
    for command in ([], ["touch harm"], ["-tt", "touch harm"], ["-s", "sftp"]):
        options = [word for word in command if word.startswith("-")]
        rest = [word for word in command if not word.startswith("-")]
        answer = worker.run("ssh", *KEY_ONLY, *options, "hub", *rest, stdin="touch harm\n", check=False)
        assert "harm" not in answer.stdout, command
    assert not hub.outside("harm").exists()
    granted = worker.run("ssh", "-v", *KEY_ONLY, "hub", "true", check=False).stderr
    assert "key options: command\n" in granted


@pytest.mark.usefixtures("pinned")
def test_a_pinned_key_forwards_nothing(worker: Host) -> None:
    there = worker.run("ssh", *KEY_ONLY, "-W", "127.0.0.1:22", "hub", check=False)
    assert "SSH-2.0" not in there.stdout
    assert "administratively prohibited" in there.stderr
    back = worker.run(
        *("ssh", *KEY_ONLY, "-N", "-o", "ExitOnForwardFailure=yes", "-R", "9999:127.0.0.1:22", "hub"), check=False
    )
    assert back.returncode == 255
    assert "remote port forwarding failed" in back.stderr
    agent = worker.run("ssh", "-v", "-A", "-X", *KEY_ONLY, "hub", check=False).stderr
    assert "key options: command\n" in agent


@pytest.mark.usefixtures("pinned")
def test_a_pinned_key_copies_no_file(hub: Host, worker: Host) -> None:
    worker.outside("harm").write_text("x")
    assert worker.run("scp", *KEY_ONLY, "harm", "hub:harm", check=False).returncode != 0
    worker.run("scp", "-O", *KEY_ONLY, "harm", "hub:harm", check=False)  # the old protocol takes any zero for consent
    assert worker.run("sftp", *KEY_ONLY, "hub:.ssh/authorized_keys", "stolen", check=False).returncode != 0
    assert not hub.outside("harm").exists()
    assert not worker.outside("stolen").exists()


@pytest.mark.usefixtures("pinned")
def test_a_pinned_host_s_messages_say_so(hub: Host, worker: Host) -> None:
    hub.run("agentmesh", "inbox", "mark", "--all")
    worker.run("notify-pane", "hub-dev-inbox", "with my own key")
    letters = msgspec.json.decode(hub.run("agentmesh", "inbox", "--unread", "--json").stdout, type=list[Letter])
    assert [letter.origin.host for letter in letters] == ["worker-1"]
    assert letters[0].origin.identity in {"pinned", "host key"}


@pytest.mark.usefixtures("pinned")
def test_a_revoked_key_is_cut_off_with_its_live_link(hub: Host, worker: Host) -> None:
    hub.run("agentmesh", "peers", "revoke", "worker-1")
    assert identity(hub, "worker-1") != "pinned"
    assert "the key that was pinned to worker-1 has been revoked" in log(hub)
    refused = worker.run("ssh", *KEY_ONLY, "hub", "true", check=False)
    assert "Permission denied" in refused.stderr


@pytest.mark.usefixtures("pinned")
def test_without_an_agent_a_pinned_conversation_is_held_and_cut_too(network: Network, hub: Host) -> None:
    hub.run("agentmesh", "stop")
    try:

        def served() -> bool:
            return bool(hub.run("pgrep", "-f", "wire --peer worker-1", check=False).stdout)

        eventually(served, "worker-1 has called again", network.diagnose)
        eventually(lambda: "mesh.db" in _files(hub), "no agent is there to hold it", network.diagnose)
        hub.run("agentmesh", "peers", "revoke", "worker-1")
        eventually(lambda: not served(), "it is cut", network.diagnose)
    finally:
        start_agent(hub)


def _files(host: Host) -> str:
    pids = host.run("pgrep", "-f", "wire --peer worker-1", check=False).stdout.split()
    return "".join(host.run("ls", "-l", f"/proc/{pid}/fd", check=False).stdout for pid in pids)
