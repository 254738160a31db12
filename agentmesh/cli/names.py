"""agent-discover, agent-register-hook, agent-self-identify: the names that existing set-ups call."""

import sys
from collections.abc import Callable

import typer

from agentmesh.cli import registry
from agentmesh.cli.ask import ask
from agentmesh.errors import AgentmeshError, NoAgent


def discover() -> None:
    """Look at tmux again, as ``agentmesh sync`` does; with no agent running, write the registry once."""
    _run("agent-discover")


def register_hook() -> None:
    """Register a session, or leave it out, whatever its name: ``agent-register-hook on|off SESSION``."""
    _run("agent-register-hook")


def self_identify() -> None:
    """Say who this pane is, from ``AGENT_ROLE``, ``AGENT_SCOPE`` or options, as ``agentmesh identify`` does."""
    _run("agent-self-identify")


def _discover(json: bool = typer.Option(False, "--json", help="Print it as JSON.")) -> None:
    """Look at tmux now, and tell the peers; the same as `agentmesh sync`."""
    try:
        registry.sync(json)
    except NoAgent:
        from agentmesh.agent.alone import run_command  # noqa: PLC0415 (slow, and only needed here)

        raise typer.Exit(run_command(["sync"])) from None


def _register(
    state: str = typer.Argument(metavar="on|off", help="Register the session, or leave it out."),
    session: str = typer.Argument(metavar="SESSION", help="The session's name."),
) -> None:
    """Register a tmux session, or leave it out, whatever config.toml says of its name."""
    typer.echo(ask("register", state, session), nl=False)


def programs() -> dict[str, typer.Typer]:
    """Return each program by its name."""
    return {
        "agent-discover": _program(_discover),
        "agent-register-hook": _program(_register),
        "agent-self-identify": _program(registry.identify),
    }


def _program(command: Callable[..., None]) -> typer.Typer:
    program = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    program.command()(command)
    return program


def _run(name: str) -> None:
    try:
        programs()[name](prog_name=name)
    except AgentmeshError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(error.exit_code)
