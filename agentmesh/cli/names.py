"""agent-discover, agent-register-hook, agent-self-identify: the names that existing set-ups call."""

import sys
from collections.abc import Callable

import typer

from agentmesh.cli import registry
from agentmesh.cli.ask import ask
from agentmesh.errors import AgentmeshError, NoAgent


def discover() -> None:
    """Look at tmux again, as ``agentmesh sync`` does; with no agent running, write the registry once."""
    _run("agent-discover", _discover)


def register_hook() -> None:
    """Register a session, or leave it out, whatever its name: ``agent-register-hook on|off SESSION``."""
    _run("agent-register-hook", _register)


def self_identify() -> None:
    """Say who this pane is, from ``AGENT_ROLE``, ``AGENT_SCOPE`` or options, as ``agentmesh identify`` does."""
    _run("agent-self-identify", registry.identify)


def _discover() -> None:
    """Look at tmux now, and tell the peers."""
    try:
        registry.sync()
    except NoAgent:
        from agentmesh.agent.alone import run_command  # noqa: PLC0415 (slow, and only needed here)

        raise typer.Exit(run_command(["sync"])) from None


def _register(
    state: str = typer.Argument(help="on: register the session; off: leave it out."),
    session: str = typer.Argument(help="The session's name."),
) -> None:
    """Register a tmux session, or leave it out, whatever config.toml says of its name."""
    typer.echo(ask("register", state, session), nl=False)


def _run(name: str, command: Callable[..., None]) -> None:
    program = typer.Typer(name=name, add_completion=False, pretty_exceptions_enable=False)
    program.command()(command)
    try:
        program()
    except AgentmeshError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(error.exit_code)
