"""agentmesh list, show, whoami, identify, sync: who is where, and who we are."""

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from agentmesh.cli.ask import ask, ask_for
from agentmesh.cli.table import console
from agentmesh.core.model import Pane


class Synced(msgspec.Struct):
    """What a sync found."""

    panes: int
    peers: int


def list_addresses(json: bool = typer.Option(False, "--json", help="Print every entry as JSON.")) -> None:
    """Show every address of the mesh."""
    if json:
        typer.echo(ask("list"), nl=False)
        return
    table = Table("address", "role", "scope", "program", "target", box=None, pad_edge=False)
    for pane in ask_for(list[Pane], "list"):
        place = f"{pane.host}[{pane.target}]"
        table.add_row(*map(escape, (pane.address, pane.role, pane.scope, pane.program or pane.command, place)))
    console().print(table)


def show(
    address: str = typer.Argument(help="An address, a unique ending of one, or a selector such as @role:reviewer."),
    json: bool = typer.Option(False, "--json", help="Print it as JSON."),
) -> None:
    """Show all that is known of a pane."""
    if json:
        typer.echo(ask("show", address), nl=False)
        return
    for pane in ask_for(list[Pane], "show", address):
        for name in (
            "address",
            "host",
            "target",
            "pane",
            "server",
            "program",
            "command",
            "cwd",
            "role",
            "scope",
            "handle",
        ):
            if value := getattr(pane, name):
                typer.echo(f"{name:8} {value}")
        for former in pane.formerly:
            typer.echo(f"formerly {former}")


def whoami() -> None:
    """Print the name under which this pane sends."""
    typer.echo(ask("whoami"), nl=False)


def identify(
    role: str | None = typer.Option(None, envvar="AGENT_ROLE", help="What this pane does: reviewer."),
    scope: str | None = typer.Option(None, envvar="AGENT_SCOPE", help="What it works on: the API."),
    name: str | None = typer.Option(None, help="A short name for it, instead of its address."),
) -> None:
    """Say who this pane is; sets @agent-role, @agent-scope and @agent-name on its window."""
    given = {"role": role, "scope": scope, "name": name}
    typer.echo(ask("identify", *(f"{key}={value}" for key, value in given.items() if value is not None)), nl=False)


def sync() -> None:
    """Read peers.conf again, scan tmux, dial every peer that is down, and send them this host's panes."""
    synced = ask_for(Synced, "sync")
    typer.echo(f"{synced.panes} entries here, {synced.peers} peers")


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the program."""
    commands.command("list")(list_addresses)
    for command in (show, whoami, identify, sync):
        commands.command()(command)
