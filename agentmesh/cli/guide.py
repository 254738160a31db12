"""agentmesh guide: what an AI agent in a pane has to know."""

import typer

from agentmesh.install.guide import GUIDE


def guide() -> None:
    """Print what an AI agent in a pane has to know.

    It is for its CLAUDE.md, AGENTS.md or skill.
    `agentmesh install --guide FILE` keeps it in such a file.
    """
    typer.echo(GUIDE, nl=False)


def add_to(commands: typer.Typer) -> None:
    """Add this command to the program."""
    commands.command()(guide)
