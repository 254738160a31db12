"""agentmesh run, status, stop: the agent itself."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

import typer

from agentmesh.cli.ask import ask, ask_for
from agentmesh.cli.table import console, escape, table
from agentmesh.config import Paths
from agentmesh.core.model import Standing
from agentmesh.core.status import Status
from agentmesh.errors import NoAgent
from agentmesh.install import agent

if TYPE_CHECKING:
    from rich.table import Table


def run() -> None:
    """Run this host's agent in the foreground.

    Ctrl-C or SIGTERM stop it; messages that are being typed are finished first.
    """
    from agentmesh.agent import app  # noqa: PLC0415 (slow, and only needed here)

    asyncio.run(app.run(Paths.from_environment()))


def status(json: bool = typer.Option(False, "--json", help="Print it as JSON, with all that is known.")) -> None:
    """Show the agent, its peers, and what waits.

    With each peer its round trip; also how many windows there are, and what went wrong last.

    `agentmesh doctor` looks for what is wrong, and says what to do about it.
    """
    if json:
        typer.echo(ask("status"), nl=False)
        return
    now = ask_for(Status, "status")
    screen = console()
    listening = f", listening on {now.listening}" if now.listening else ""
    screen.print(f"[bold]{now.host}[/bold]  agentmesh {now.version}, pid {now.pid}, {now.home}{listening}")
    screen.print(f"{now.panes} windows on tmux servers: {', '.join(now.servers) or 'none runs'}; {_count(now.hosts)}")
    for server, reason in now.failures.items():
        screen.print(f"[red]tmux server {escape(server)}: {escape(reason)}[/red]")
    screen.print(f"waiting: {escape(_queues(now)) or 'nothing'}")
    if now.peers:
        screen.print(standings(now.peers))
    else:
        screen.print("no peers: `agentmesh peers add ALIAS`")
    for broker in now.brokers:
        state = "connected" if broker.is_connected else "[red]not connected[/red]"
        lacks = f", lacks {broker.waiting} events" if broker.waiting else ""
        screen.print(f"MQTT broker {escape(broker.broker)}: {state}{lacks}")
        if broker.reason:
            screen.print(f"[red]{escape(broker.reason)}[/red]")
    for trouble in now.troubles:
        screen.print(f"[yellow]{ago(trouble.time)} ago: {escape(trouble.text)}[/yellow]")


def standings(peers: list[Standing]) -> "Table":
    """Return a table of how peers stand."""
    rows = table("peer", "state", "since", "identity", "version", "round trip", "")
    for peer in peers:
        trip = "" if peer.latency is None else f"{peer.latency * 1000:.1f} ms"
        since = ago(peer.since) if peer.since else ""
        state = f"{peer.state}, reached via {peer.via}" if peer.via else peer.state
        style = {"down": "red", "refused": "red", "connecting": "yellow"}.get(peer.state)
        row = (peer.host, state, since, peer.identity, peer.version, trip, peer.reason)
        rows.add_row(*map(escape, row), style=style)
    return rows


def _count(hosts: int) -> str:
    return f"{hosts} hosts known" if hosts > 1 else "no other host known"


def _queues(now: Status) -> str:
    """Return what waits, and for whom."""
    here = [f"{count} for {address}" for address, count in now.waiting.items()]
    return ", ".join([*here, *(f"{count} for {host}" for host, count in now.outbox.items())])


def stop(json: bool = typer.Option(False, "--json", help="Print it as JSON.")) -> None:
    """Stop this host's agent.

    Messages that are being typed are finished first; those that wait stay on disk. An agent that hangs is ended.
    """
    if not asyncio.run(agent.stop(Paths.from_environment())):
        raise NoAgent
    typer.echo('{"stopped":true}' if json else "stopped")


def resync() -> None:
    """Look again, as `agentmesh sync` does; end an agent that doesn't answer, so that its service starts it anew.

    systemd's timer, launchd or cron run this. The exit code is 0 when an agent answers.
    """
    asyncio.run(agent.resync(Paths.from_environment()))


def ago(moment: int) -> str:
    """Return how long ago a moment is, in Unix seconds."""
    seconds = max(0, int(time.time()) - moment)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def add_to(commands: Any) -> None:  # noqa: ANN401 (Typer's own decorators are untyped here)
    """Add these commands to the program."""
    for command in (run, status, stop):
        commands.command()(command)
    commands.command(hidden=True)(resync)
