"""Pinned keys with a real sshd: what such a key can do, and whom it speaks for."""

from collections.abc import Iterator

import msgspec
import pytest

from agentmesh.core.model import Letter, Standing
from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import knows, open_window, screen, start_agent
from tests.eventually import eventually

pytestmark = pytest.mark.hosts

# Where both sides dial, the link of the lower alias is kept: hub calls worker-1.
KEY_ONLY = ["-i", ".agents/key", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]


@pytest.fixture
def pinned(network: Network, worker: Host) -> Iterator[None]:
    """Let worker-1 know hub by its own key, for one test."""
    told = worker.run("agentmesh", "peers", "authorize", "hub").stdout
    assert "is now pinned, in ~/.ssh/authorized_keys" in told
    eventually(lambda: identity(worker, "hub") == "pinned", "hub calls with its own key", network.diagnose)
    yield
    worker.run("agentmesh", "peers", "revoke", "hub", check=False)


def identity(host: Host, peer: str) -> str:
    known = msgspec.json.decode(host.run("agentmesh", "peers", "--json").stdout, type=list[Standing])
    return next((other.identity for other in known if other.host == peer), "")


def log(host: Host) -> str:
    return host.outside(".agents/log/agent.log").read_text()


def test_login_keys_go_on_working_and_are_claims(worker: Host, hub: Host) -> None:
    open_window(worker, "dev", "inbox", "cat")
    eventually(knows(hub, "worker-1-dev-inbox"), "hub knows the pane")
    hub.run("notify-pane", "worker-1-dev-inbox", "with a login key")
    (letter,) = msgspec.json.decode(worker.run("agentmesh", "inbox", "--json").stdout, type=list[Letter])
    assert letter.origin.host == "hub"
    assert letter.origin.identity in {"claimed", "host key"}
    assert "[from hub @ " in screen(worker, "dev:inbox")


def test_a_pin_is_added_to_what_stands_in_the_file_and_taken_back(worker: Host) -> None:
    file = worker.outside(".ssh/authorized_keys")
    before, mode = file.read_text(), file.stat().st_mode
    worker.run("agentmesh", "peers", "authorize", "hub")
    pinned = file.read_text()
    assert pinned.startswith(before)
    assert pinned.removeprefix(before).startswith(
        f'restrict,command="{worker.home}/.agents/bin/agentmesh wire --peer hub" ssh-ed25519 '
    )
    worker.run("agentmesh", "peers", "authorize", "hub")
    assert file.read_text() == pinned
    worker.run("agentmesh", "peers", "revoke", "hub")
    assert file.read_text() == before
    assert file.stat().st_mode == mode


@pytest.mark.usefixtures("pinned")
def test_a_pinned_key_gets_no_shell_no_command_and_no_terminal(worker: Host, hub: Host) -> None:
    for command in ([], ["touch harm"], ["-tt", "touch harm"], ["-s", "sftp"]):
        options = [word for word in command if word.startswith("-")]
        rest = [word for word in command if not word.startswith("-")]
        answer = hub.run("ssh", *KEY_ONLY, *options, "worker-1", *rest, stdin="touch harm\n", check=False)
        assert "harm" not in answer.stdout, command
    assert not worker.outside("harm").exists()
    granted = hub.run("ssh", "-v", *KEY_ONLY, "worker-1", "true", check=False).stderr
    assert "key options: command\n" in granted


@pytest.mark.usefixtures("pinned")
def test_a_pinned_key_forwards_nothing(hub: Host) -> None:
    there = hub.run("ssh", *KEY_ONLY, "-W", "127.0.0.1:22", "worker-1", check=False)
    assert "SSH-2.0" not in there.stdout
    assert "administratively prohibited" in there.stderr
    back = hub.run(
        *("ssh", *KEY_ONLY, "-N", "-o", "ExitOnForwardFailure=yes", "-R", "9999:127.0.0.1:22", "worker-1"), check=False
    )
    assert back.returncode == 255
    assert "remote port forwarding failed" in back.stderr
    agent = hub.run("ssh", "-v", "-A", "-X", *KEY_ONLY, "worker-1", check=False).stderr
    assert "key options: command\n" in agent


@pytest.mark.usefixtures("pinned")
def test_a_pinned_key_copies_no_file(worker: Host, hub: Host) -> None:
    hub.outside("harm").write_text("x")
    assert hub.run("scp", *KEY_ONLY, "harm", "worker-1:harm", check=False).returncode != 0
    hub.run("scp", "-O", *KEY_ONLY, "harm", "worker-1:harm", check=False)  # the old protocol takes any zero for consent
    assert hub.run("sftp", *KEY_ONLY, "worker-1:.ssh/authorized_keys", "stolen", check=False).returncode != 0
    assert not worker.outside("harm").exists()
    assert not hub.outside("stolen").exists()


@pytest.mark.usefixtures("pinned")
def test_a_pinned_host_s_messages_say_so(worker: Host, hub: Host) -> None:
    worker.run("agentmesh", "inbox", "mark", "--all")
    hub.run("notify-pane", "worker-1-dev-inbox", "with my own key")
    letters = msgspec.json.decode(worker.run("agentmesh", "inbox", "--unread", "--json").stdout, type=list[Letter])
    assert [letter.origin.host for letter in letters] == ["hub"]
    assert letters[0].origin.identity in {"pinned", "host key"}


@pytest.mark.usefixtures("pinned")
def test_a_revoked_key_is_cut_off_with_its_live_link(worker: Host, hub: Host) -> None:
    worker.run("agentmesh", "peers", "revoke", "hub")
    assert identity(worker, "hub") != "pinned"
    eventually(lambda: "the key that was pinned to hub has been revoked" in log(worker), "it is logged")
    refused = hub.run("ssh", *KEY_ONLY, "worker-1", "true", check=False)
    assert "Permission denied" in refused.stderr


@pytest.mark.usefixtures("pinned")
def test_without_an_agent_a_pinned_conversation_is_held_and_cut_too(network: Network, worker: Host) -> None:
    worker.run("agentmesh", "stop")
    try:

        def served() -> bool:
            return bool(worker.run("pgrep", "-f", "wire --peer hub", check=False).stdout)

        eventually(served, "hub has called again", network.diagnose)
        eventually(lambda: "mesh.db" in _files(worker), "no agent is there to hold it", network.diagnose)
        worker.run("agentmesh", "peers", "revoke", "hub")
        eventually(lambda: not served(), "it is cut", network.diagnose)
    finally:
        start_agent(worker)


def _files(host: Host) -> str:
    pids = host.run("pgrep", "-f", "wire --peer hub", check=False).stdout.split()
    return "".join(host.run("ls", "-l", f"/proc/{pid}/fd", check=False).stdout for pid in pids)
