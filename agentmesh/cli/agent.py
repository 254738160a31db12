"""agentmesh run, status, stop: the agent itself."""

import asyncio
import time
from typing import Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from agentmesh.adapters import ipc
from agentmesh.cli.ask import ask, ask_for
from agentmesh.cli.table import console
from agentmesh.config import Paths
from agentmesh.errors import AgentmeshError, NoAgent

STOP_SECONDS = 15.0


class Peer(msgspec.Struct):
    """A peer, as the agent tells of it."""

    host: str
    state: str
    since: int
    reason: str = ""
    via: str = ""


class Status(msgspec.Struct):
    """How the agent is."""

    host: str
    version: str
    pid: int
    home: str
    listening: str
    panes: int
    servers: list[str]
    failures: dict[str, str]
    peers: list[Peer]


def run() -> None:
    """Run this host's agent in the foreground, until Ctrl-C or SIGTERM."""
    from agentmesh.agent import app  # noqa: PLC0415 (slow, and only needed here)

    asyncio.run(app.run(Paths.from_environment()))


def status(json: bool = typer.Option(False, "--json", help="Print it as JSON.")) -> None:
    """Show how the agent is: its peers, its tmux servers, how many windows it offers."""
    if json:
        typer.echo(ask("status"), nl=False)
        return
    now = ask_for(Status, "status")
    screen = console()
    screen.print(f"[bold]{now.host}[/bold]  agentmesh {now.version}, pid {now.pid}, {now.home}")
    if now.listening:
        screen.print(f"listening on {now.listening}")
    screen.print(f"{now.panes} windows on tmux servers: {', '.join(now.servers) or 'none runs'}")
    for server, reason in now.failures.items():
        screen.print(f"[red]tmux server {server}: {escape(reason)}[/red]")
    if not now.peers:
        screen.print("no peers: write one SSH alias a line into peers.conf, then `agentmesh sync`")
        return
    table = Table("peer", "state", "since", "", box=None, pad_edge=False)
    for peer in now.peers:
        state = f"{peer.state}, reached via {peer.via}" if peer.via else peer.state
        table.add_row(peer.host, state, _ago(peer.since), escape(peer.reason))
    screen.print(table)


def stop() -> None:
    """Stop the agent; messages that are being typed are finished first."""
    ask("stop")
    asyncio.run(_gone(Paths.from_environment()))
    typer.echo("stopped")


async def _gone(paths: Paths) -> None:
    """Wait until the agent answers no more. Raises AgentmeshError when it still does after some seconds."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            _, writer = await ipc.connect(paths.socket)
        except NoAgent:
            return
        writer.close()
        await asyncio.sleep(0.05)
    raise AgentmeshError(reason=f"the agent still runs after {STOP_SECONDS:g} s; see its log in {paths.log.parent}")


def _ago(moment: int) -> str:
    seconds = max(0, int(time.time()) - moment)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def add_to(commands: Any) -> None:  # noqa: ANN401 (Typer's own decorators are untyped here)
    """Add these commands to the program."""
    for command in (run, status, stop):
        commands.command()(command)
