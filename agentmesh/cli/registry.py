"""agentmesh list, show, whoami, identify, sync: who is where, and who we are."""

import msgspec
import typer

from agentmesh.cli.ask import ask, ask_for
from agentmesh.cli.help import examples
from agentmesh.cli.table import console, escape, table
from agentmesh.core.model import Pane

_JSON = typer.Option(False, "--json", help="Print it as JSON.")


class Synced(msgspec.Struct):
    """What a sync found."""

    panes: int
    peers: int


def list_addresses(json: bool = _JSON) -> None:
    """Show every address of the mesh.

    A window is <host>-<session>-<window>; where it is split, each of its panes is <window>.<index>, too.
    """
    if json:
        typer.echo(ask("list"), nl=False)
        return
    rows = table("address", "role", "scope", "program", "target")
    for pane in ask_for(list[Pane], "list"):
        place = f"{pane.host}[{pane.target}]"
        rows.add_row(*map(escape, (pane.address, pane.role, pane.scope, pane.program or pane.command, place)))
    console().print(rows)


def show(
    address: str = typer.Argument(metavar="ADDRESS", help="An address, a unique ending of one, or @role:NAME."),
    json: bool = _JSON,
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


def whoami(json: bool = _JSON) -> None:
    """Print the name under which this pane sends.

    It is found from the pane that the command runs in. Outside of tmux it is AGENT_NAME, or this host's alias.
    """
    _tell_name(ask("whoami"), json)


def identify(
    role: str | None = typer.Option(None, envvar="AGENT_ROLE", metavar="TEXT", help="What this pane does: reviewer."),
    scope: str | None = typer.Option(None, envvar="AGENT_SCOPE", metavar="TEXT", help="What it works on: the API."),
    name: str | None = typer.Option(None, metavar="NAME", help="A short name for it, instead of its address."),
    json: bool = _JSON,
) -> None:
    """Say who this pane is, and print its name.

    That sets @agent-role, @agent-scope and @agent-name on its window; what isn't given stays.
    """
    given = {"role": role, "scope": scope, "name": name}
    words = (f"{key}={value}" for key, value in given.items() if value is not None)
    _tell_name(ask("identify", *words), json)


def sync(json: bool = _JSON) -> None:
    """Look again: at peers.conf, at tmux, at each peer.

    Peers that are down are dialled; with those that are up it is compared what each knows. The agent does all this by
    itself when something changes: this is for when you don't want to wait, or don't trust it.
    """
    answer = ask("sync")
    synced = msgspec.json.decode(answer, type=Synced)
    typer.echo(answer.decode().rstrip() if json else f"{synced.panes} entries here, {synced.peers} peers")


def _tell_name(answer: bytes, json: bool) -> None:
    name = answer.decode().removesuffix("\n")
    typer.echo(msgspec.json.encode({"name": name}) if json else name)


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the program."""
    commands.command(
        "list",
        epilog=examples(
            "agentmesh list", "agentmesh list --json | jq -r '.[] | select(.role == \"reviewer\").address'"
        ),
    )(list_addresses)
    commands.command(epilog=examples("agentmesh show review", "agentmesh show 'worker-*-review' --json"))(show)
    commands.command(epilog=examples("agentmesh whoami", "AGENT_NAME=nightly agentmesh whoami"))(whoami)
    commands.command(epilog=examples('agentmesh identify --role reviewer --scope "the API" --name rev'))(identify)
    commands.command(epilog=examples("agentmesh sync"))(sync)
