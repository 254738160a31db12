"""The ``agentmesh`` command: what it offers, and how its errors are shown."""

import os
import sys

import typer

from agentmesh import __version__
from agentmesh.cli import (
    agent,
    broker,
    completion,
    demo,
    doctor,
    far,
    guide,
    install,
    job,
    log,
    mail,
    peers,
    registry,
    review,
    session,
    session_life,
    setup,
    team,
    wire,
)
from agentmesh.core.workspace import outside
from agentmesh.errors import AgentmeshError

commands = typer.Typer(
    name="agentmesh",
    help="Messages and files between the programs in your tmux panes, on every host you use.\n\n"
    "Send with `notify-pane`; see `notify-pane --help`.",
    no_args_is_help=True,
    add_completion=False,  # `completion` serves all our programs
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"agentmesh {__version__}")
        raise typer.Exit


@commands.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    """Take the options that go before a command."""


@commands.command("wire", hidden=True)
def serve_wire(
    peer: str = typer.Option("", "--peer", metavar="NAME", help="The host that the caller's key is pinned to."),
) -> None:
    """Serve one peer on standard input and output; sshd starts this."""
    raise typer.Exit(wire.serve(peer))


for module in (
    agent,
    registry,
    peers,
    mail,
    job,
    review,
    session,
    team,
    far,
    log,
    install,
    setup,
    guide,
    doctor,
    demo,
    completion,
):
    module.add_to(commands)
broker.add_to(job.job)
session_life.add_to(session.session)


def app() -> None:
    """Run a command; an error is one sentence on standard error, and its exit code."""
    # In a workspace, too, our own commands are for every tmux server.
    os.environ["PATH"] = outside(os.environ.get("PATH", os.defpath))
    try:
        commands()
    except AgentmeshError as error:
        sys.stderr.write(f"agentmesh: {error}\n")
        sys.exit(error.exit_code)
