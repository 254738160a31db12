"""agentmesh outbox, inbox: the messages that are kept here."""

import time
from datetime import datetime

import msgspec
import typer

from agentmesh.cli.ask import ask, ask_for, do
from agentmesh.cli.help import examples
from agentmesh.cli.table import console, escape, table
from agentmesh.core.model import Letter
from agentmesh.core.text import printable, without_controls

LONGEST_TEXT = 60
"""Characters of a message that a table shows."""
_JSON = typer.Option(False, "--json", help="Print it as JSON.")
_IDS = typer.Argument(metavar="ID", help="The beginnings of messages' ids.")

outbox = typer.Typer(
    help="Messages that this host sent and that have not ended.",
    epilog=examples("agentmesh outbox", "agentmesh outbox --all --json", "agentmesh outbox drop 1f3a"),
    invoke_without_command=True,
    rich_markup_mode=None,
)
inbox = typer.Typer(
    help="Messages that came for panes of this host.",
    epilog=examples("agentmesh inbox --unread", "agentmesh inbox --search migration", "agentmesh inbox mark --all"),
    invoke_without_command=True,
    rich_markup_mode=None,
)


@outbox.callback()
def list_outbox(
    context: typer.Context,
    ended: bool = typer.Option(False, "--all", help="Also those that have ended."),
    json: bool = _JSON,
) -> None:
    """Show the messages of this host that have not ended, and what each waits for."""
    if context.invoked_subcommand:
        return
    answer = ask("outbox", "all" if ended else "list")
    if json:
        typer.echo(answer, nl=False)
        return
    rows = table("id", "sent", "to", "state", "text")
    for letter in ask_for(list[Letter], "outbox", "all" if ended else "list"):
        message, receipt = letter.message, letter.receipt
        why = receipt.readiness or receipt.detail
        state = f"{receipt.state} via {receipt.via}" if receipt.via else str(receipt.state)
        state = f"{state}: {why}" if why else state
        rows.add_row(*map(escape, (message.id[:8], _when(message.sent), message.to, state, _first_line(message.body))))
    console().print(rows)


@outbox.command()
def retry(ids: list[str] = _IDS, json: bool = _JSON) -> None:
    """Try at once what waits; send again what has ended.

    What has ended is sent as a new message, which may wait for a day.
    """
    raise typer.Exit(do("outbox", "retry", *ids, json=json))


@outbox.command()
def drop(ids: list[str] = _IDS, json: bool = _JSON) -> None:
    """Take messages back, if nothing has been typed of them."""
    raise typer.Exit(do("outbox", "drop", *ids, json=json))


@inbox.callback()
def list_inbox(
    context: typer.Context,
    pane: str = typer.Option(
        "", "--pane", metavar="ADDRESS", help="Whose, of this host. Without it this pane's; outside tmux, all."
    ),
    search: str = typer.Option("", "--search", metavar="TEXT", help="Only messages with this in them."),
    unread: bool = typer.Option(False, "--unread", help="Only messages that are not marked as read."),
    json: bool = _JSON,
) -> None:
    """Show what came for a pane of this host, delivered or not."""
    if context.invoked_subcommand:
        return
    words = ("inbox", "list", pane, search, "unread" if unread else "all")
    if json:
        typer.echo(ask(*words), nl=False)
        return
    for letter in ask_for(list[Letter], *words):
        message, state = letter.message, letter.receipt.state
        mark = " " if letter.read else "*"
        way = f"; from {letter.origin.host}, {letter.origin.identity}" if letter.origin.host else ""
        way += f", via {letter.origin.via}" if letter.origin.via else ""
        typer.echo(f"{mark} {message.id[:8]} {_when(message.sent)} {message.sender} → {message.to} ({state}{way})")
        for line in message.body.split("\n"):
            typer.echo(f"    {without_controls(line)}")


@inbox.command()
def mark(
    ids: list[str] = typer.Argument(None, metavar="ID", help="The beginnings of messages' ids."),
    every: bool = typer.Option(False, "--all", help="All that came for this pane; outside tmux, for every pane."),
    json: bool = _JSON,
) -> None:
    """Mark messages as read."""
    chosen = list(ids or [])
    if every:
        chosen = [letter.message.id for letter in ask_for(list[Letter], "inbox", "list", "", "", "unread")]
    if chosen or not every:
        ask("inbox", "mark", *chosen)
    typer.echo(msgspec.json.encode({"marked": len(chosen)}) if json else f"{len(chosen)} marked as read")


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the program."""
    commands.add_typer(outbox, name="outbox")
    commands.add_typer(inbox, name="inbox")


def _when(moment: int) -> str:
    local = datetime.fromtimestamp(moment).astimezone()
    return local.strftime("%H:%M:%S" if time.time() - moment < 24 * 3600 else "%Y-%m-%d %H:%M")


def _first_line(body: str) -> str:
    first = printable(body.split("\n", 1)[0])
    return first if len(first) <= LONGEST_TEXT else f"{first[: LONGEST_TEXT - 1]}…"
