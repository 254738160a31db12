"""README.md, done to the letter by a newcomer: from nothing to a delivered message, and back to nothing."""

import pytest

from tests.e2e.hosts import Host, Network
from tests.e2e.newcomers import CHECKOUT, PIPX_OWN, Sight, add_newcomer, differing, give_packages, look, type_in
from tests.e2e.readme import commands
from tests.eventually import eventually

pytestmark = [pytest.mark.hosts, pytest.mark.tmux, pytest.mark.timeout(400)]

MOVING = (".agents/log/", ".agents/spool/", ".agents/mesh.db", ".agents/local.toml", ".agents/registry.toml")
"""What an agent that runs writes by itself."""


@pytest.fixture
def pair(network: Network) -> tuple[Host, Host]:
    hub, worker = add_newcomer(network, "hub"), add_newcomer(network, "worker-1")
    give_packages(hub, worker)
    hub.outside("agentmesh").symlink_to(CHECKOUT)  # the clone
    worker.run("tmux", "new-window", "-d", "-t", "dev:", "-n", "review", "cat")
    return hub, worker


def settled(host: Host) -> Sight:
    return {name: seen for name, seen in look(host).items() if not name.startswith(MOVING)}


def test_from_nothing_to_a_delivered_message_and_back_to_nothing(pair: tuple[Host, Host]) -> None:
    hub, worker = pair
    before = [look(host) for host in pair]

    typed = []
    asked = {"setup": {"What is this host called": "", "Install it there?": "", "speak for them?": ""}}
    for command in commands("Install it on two machines"):
        code, said = type_in(hub, command, **asked.get(command.split()[1], {}))
        assert code == 0, said
        typed.append(command)
        if command == "agentmesh setup worker-1":
            assert len(typed) < 10
            assert "→ worker-1-agentmesh-hello-from-hub" in said
            assert "] hello from hub\n" in said.partition("capture-pane")[2]
    assert "worker-1-dev-review" in said.split()
    assert type_in(hub, 'notify-pane review "and one by hand"')[0] == 0
    assert "and one by hand" in worker.run("tmux", "capture-pane", "-p", "-t", "dev:review").stdout

    installed = [settled(host) for host in pair]
    for host in pair:
        code, said = type_in(host, "agentmesh install")
        assert (code, "Everything is in place already." in said) == (0, True), said
    code, said = type_in(hub, "agentmesh setup worker-1", **{"speak for them?": ""})
    assert (code, "Install it there?" in said) == (0, False), said
    assert [differing(then, settled(host)) for then, host in zip(installed, pair, strict=True)] == [{}, {}]

    for host in pair:
        for command in commands("Remove it"):
            answers = {"[y/N]": "y"} if command == "agentmesh uninstall" else {}
            code, said = type_in(host, command, **answers)
            assert code == 0, said
            if command == "agentmesh uninstall":
                assert "To remove the program itself: pipx uninstall agentmesh" in said
    eventually(lambda: not any(map(running, pair)), "nothing of ours runs", lambda: [running(host) for host in pair])
    assert [differing(then, look(host)) for then, host in zip(before, pair, strict=True)] == [{}, {}]
    for host in pair:
        left = [path for own in PIPX_OWN for path in host.outside(own).rglob("agentmesh") if path.is_dir()]
        assert not [path for path in left if "trash" not in path.parts]  # pipx's, which it empties the next time


def running(host: Host) -> str:
    """Return the command lines of ours that run on a host."""
    return host.run("pgrep", "-af", "agentmesh", check=False).stdout
