"""A mesh on namespaced hosts: each runs the agent, has the others as peers, and offers panes to send to."""

from collections.abc import Callable, Sequence
from functools import partial

from agentmesh.core.status import Status
from tests.asking import Asking
from tests.e2e.hosts import Host, Network
from tests.eventually import eventually


def start_agent(host: Host) -> None:
    """Run the agent on a host, and wait until it answers."""
    host.start("agentmesh", "run")
    eventually(asking(host).answers, "the agent answers")


def make_mesh(
    network: Network, names: Sequence[str], prepare: Callable[[list[Host]], None] | None = None
) -> list[Host]:
    """Add hosts that are each other's peers, with the agent running on each, and links between all.

    Where the hosts are prepared before their agents run, the links are not waited for.
    """
    hosts = [network.add_host(name) for name in names]
    for host in hosts:
        home = host.outside(".agents")
        home.mkdir(mode=0o700)
        (home / "self.conf").write_text(f"{host.name}\n")
        (home / "peers.conf").write_text("".join(f"{name}\n" for name in names if name != host.name))
        # A login shell's own prompt differs by system; the panes of a test look alike everywhere.
        host.outside(".tmux.conf").write_text('set -g default-command "bash --norc"\n')
    if prepare:
        prepare(hosts)
    for host in hosts:
        start_agent(host)
    for host in hosts if prepare is None else ():
        eventually(partial(all_up, host), f"{host.name} has links to all", network.diagnose)
    return hosts


def all_up(host: Host) -> bool:
    """Tell whether a host has dialled each of its peers."""
    return all(peer.state == "up" for peer in status(host).peers)


def asking(host: Host) -> Asking:
    """Return the way to ask the host's agent."""
    return Asking(host.outside(".agents"))


def status(host: Host) -> Status:
    """Return what the host's agent says of itself."""
    return asking(host).status()


def addresses(host: Host) -> list[str]:
    """Return every address that a host knows."""
    return asking(host).addresses()


def open_window(host: Host, session: str, window: str, command: str) -> None:
    """Open a window on a host's tmux server, which is started as needed."""
    exists = host.run("tmux", "has-session", "-t", f"={session}", check=False).returncode == 0
    begin = ["new-window", "-t", f"={session}:"] if exists else ["new-session", "-s", session, "-x", "120", "-y", "40"]
    host.run("tmux", *begin, "-d", "-n", window, command)


def screen(host: Host, target: str) -> str:
    """Return what a pane shows, lines that were wrapped joined."""
    return host.run("tmux", "capture-pane", "-p", "-J", "-t", target).stdout.rstrip()


def knows(host: Host, *wanted: str) -> Callable[[], bool]:
    """Return the condition that a host's agent runs and knows these addresses."""
    return lambda: asking(host).answers() and set(wanted) <= set(addresses(host))
