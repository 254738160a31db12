"""agentmesh peers: who belongs to the mesh, how each peer is known, and which keys speak for whom."""

import shlex
import sys
from pathlib import Path

import typer

from agentmesh.cli.agent import standings
from agentmesh.cli.ask import ask, ask_for, do
from agentmesh.cli.help import examples
from agentmesh.cli.steps import THERE, over_ssh, run
from agentmesh.cli.table import console
from agentmesh.core.model import Standing
from agentmesh.core.outcome import JSON
from agentmesh.errors import AgentmeshError, BadConfiguration, NoAgent, UnknownPeer

_ALIASES = typer.Argument(metavar="ALIAS", help="Hosts by their aliases in ~/.ssh/config.")
_JSON = typer.Option(False, "--json", help="Print it as JSON.")
_PEERS = typer.Argument(metavar="PEER", help="Hosts by their names in the mesh.")

peers = typer.Typer(
    help="The other hosts of the mesh. Without a command: list them.",
    epilog=examples("agentmesh peers add worker-1", "agentmesh peers", "agentmesh peers authorize worker-1"),
    invoke_without_command=True,
    rich_markup_mode=None,
)


@peers.callback()
def peers_callback(context: typer.Context, json: bool = _JSON) -> None:
    """Show the other hosts of the mesh."""
    if context.invoked_subcommand is None:
        list_peers(json)


@peers.command("list")
def list_peers(json: bool = _JSON) -> None:
    """Show every peer: how it stands, and how it is known.

    Identity: `pinned`: it called with the key that is pinned to its name here (`peers authorize`). `host key`: this
    host dialled it, and SSH verified its host key. `claimed`: it called with a key that may log in here, and says so.
    """
    if json:
        typer.echo(ask("peers", "list"), nl=False)
        return
    known = ask_for(list[Standing], "peers", "list")
    screen = console()
    if not known:
        screen.print("no peers: `agentmesh peers add ALIAS`, or write one SSH alias a line into peers.conf")
        return
    screen.print(standings(known))


@peers.command(epilog=examples("agentmesh peers add worker-1 worker-2"))
def add(aliases: list[str] = _ALIASES, json: bool = _JSON) -> None:
    """Add hosts that answer and are what they are called.

    `ssh ALIAS` must work without a password, and agentmesh must be installed there. The alias must be the name that
    the host has for itself. Each host that passes is written into peers.conf; nothing changes for one that doesn't.
    """
    raise typer.Exit(do("peers", "add", *aliases, json=json))


@peers.command(epilog=examples("agentmesh peers remove worker-2"))
def remove(
    aliases: list[str] = _PEERS,
    everywhere: bool = typer.Option(False, "--everywhere", help="On the other peers too, over `ssh PEER`."),
    json: bool = _JSON,
) -> None:
    """Forget hosts, here, and all that is theirs.

    Their lines in peers.conf, panes, links and pinned keys go; messages that wait for them end.
    Each host has a peers.conf of its own: it is said which others still have the host as a peer, as far as known. With
    --everywhere they are told over SSH, with your own login there, to do the same. With --json what they say goes to
    standard error, and the exit code tells of them.
    """
    code = do("peers", "remove", *aliases, json=json)
    if code not in {0, UnknownPeer.exit_code}:
        raise typer.Exit(code)
    for peer in ask_for(list[Standing], "peers", "list") if everywhere else ():
        there = over_ssh(peer.host, f"{THERE} peers remove {shlex.join(aliases)}")
        theirs = run(there, peer.host, check=False, stdout=sys.stderr if json else sys.stdout)
        if theirs not in {0, UnknownPeer.exit_code}:
            code = AgentmeshError.exit_code
    raise typer.Exit(code)


@peers.command(epilog=examples("agentmesh peers ping", "agentmesh peers ping worker-1"))
def ping(
    aliases: list[str] = typer.Argument(None, metavar="PEER", help="All, if none is named."), json: bool = _JSON
) -> None:
    """Measure the round trip to peers over their links.

    Shows with it each peer's version and key, how it is known, and how far its clock is from this host's.
    """
    raise typer.Exit(do("peers", "ping", *(aliases or []), json=json))


@peers.command(
    epilog=examples("agentmesh peers authorize worker-1", "agentmesh peers authorize worker-1 worker-1-key.pub")
)
def authorize(
    name: str = typer.Argument(metavar="PEER", help="The host that the key speaks for."),
    key: str = typer.Argument("", metavar="PATH", help="Its ~/.agents/key.pub; - reads it from standard input."),
    json: bool = _JSON,
) -> None:
    """Pin a host's own key to its name.

    With that key the host can call this one under its name alone, and do nothing else: no shell, no command, no
    forwarding, no SFTP.

    The key is pinned by a line in ~/.ssh/authorized_keys, for the system's sshd; where this host has [listen], in
    ~/.agents/authorized_keys, which its own listener reads. All else in the file stays as it is. Without PATH the host
    is dialled, its host key verified, and the key taken that it says is its own.
    """
    raise typer.Exit(_with_or_without_agent("peers", "authorize", name, _read(key) if key else "", json=json))


@peers.command(epilog=examples("agentmesh peers revoke worker-1"))
def revoke(
    name: str = typer.Argument(metavar="PEER", help="The host whose keys are revoked."), json: bool = _JSON
) -> None:
    """Take back what was authorized.

    The key's lines are removed from both files that can hold it; links on such a key are cut at once.
    """
    raise typer.Exit(_with_or_without_agent("peers", "revoke", name, json=json))


def _with_or_without_agent(*words: str, json: bool) -> int:
    try:
        return do(*words, json=json)
    except NoAgent:
        from agentmesh.agent.alone import run_command  # noqa: PLC0415 (slow, and only needed here)

        return run_command([*words, *([JSON] if json else [])])


def _read(key: str) -> str:
    if key == "-":
        return sys.stdin.read()
    try:
        return Path(key).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(path=key, reason=error) from error


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the program."""
    commands.add_typer(peers, name="peers")
