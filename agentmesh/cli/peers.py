"""agentmesh peers: who belongs to the mesh, how each peer is known, and which keys speak for whom."""

import sys
from pathlib import Path

import typer

from agentmesh.cli.agent import standings
from agentmesh.cli.ask import ask, ask_for, do
from agentmesh.cli.table import console
from agentmesh.core.model import Standing
from agentmesh.errors import BadConfiguration, NoAgent

_ALIASES = typer.Argument(help="SSH aliases, each the name of its host.")

peers = typer.Typer(
    help="The other hosts of the mesh: list, add, remove, ping; authorize and revoke their keys.",
    invoke_without_command=True,
)


@peers.callback()
def peers_callback(
    context: typer.Context, json: bool = typer.Option(False, "--json", help="Print it as JSON.")
) -> None:
    """Show the other hosts of the mesh."""
    if context.invoked_subcommand is None:
        list_peers(json)


@peers.command("list")
def list_peers(json: bool = typer.Option(False, "--json", help="Print it as JSON.")) -> None:
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


@peers.command()
def add(aliases: list[str] = _ALIASES) -> None:
    """Test the connection to hosts, and write those that answer into peers.conf. What can't be reached isn't added."""
    raise typer.Exit(do("peers", "add", *aliases))


@peers.command()
def remove(aliases: list[str] = _ALIASES) -> None:
    """Forget hosts, here: their lines in peers.conf, their panes, links and pinned keys; end what waits for them.

    Each host has a peers.conf of its own: it is said which others still have the host as a peer, as far as is known.
    """
    raise typer.Exit(do("peers", "remove", *aliases))


@peers.command()
def ping(aliases: list[str] = typer.Argument(None, help="Peers; all, if none is named.")) -> None:
    """Measure the round trip over live links; show versions, keys, how each peer is known, and what its clock says."""
    raise typer.Exit(do("peers", "ping", *(aliases or [])))


@peers.command()
def authorize(
    name: str = typer.Argument(help="The host that the key speaks for."),
    key: str = typer.Argument("", help="Its ~/.agents/key.pub; - reads it from standard input."),
) -> None:
    """Let a host call this one with its own key, under its name alone: no shell, no command, no forwarding, no SFTP.

    The key is pinned by a line in ~/.ssh/authorized_keys, for the system's sshd; where this host has [listen], in
    ~/.agents/authorized_keys, which its own listener reads. All else in the file stays as it is. Without KEY the host
    is dialled, its host key verified, and the key taken that it says is its own.
    """
    raise typer.Exit(_with_or_without_agent("peers", "authorize", name, _read(key) if key else ""))


@peers.command()
def revoke(name: str = typer.Argument(help="The host whose keys are revoked.")) -> None:
    """Take back what was authorized, in both files; links on such a key are cut at once."""
    raise typer.Exit(_with_or_without_agent("peers", "revoke", name))


def _with_or_without_agent(*words: str) -> int:
    try:
        return do(*words)
    except NoAgent:
        from agentmesh.agent.alone import run_command  # noqa: PLC0415 (slow, and only needed here)

        return run_command(list(words))


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
