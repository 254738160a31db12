"""agentmesh up, down: whole teams of sessions, from one file."""

import os
import tomllib
from pathlib import Path

import typer

from agentmesh.cli.far import is_elsewhere
from agentmesh.cli.help import examples
from agentmesh.cli.session import look_at
from agentmesh.cli.steps import agentmesh, run, typed
from agentmesh.config import Paths, load_alias
from agentmesh.core.team import Action, Found, Member, Planned, command, plan_down, plan_up, read_team, stands_by
from agentmesh.errors import AgentmeshError, BadTeam

_FILE = typer.Argument(metavar="PATH", help="The team: a [[sessions]] for each session, in order.")
_DRY_RUN = typer.Option(False, "--dry-run", help="Print what would be done, and do nothing.")


def up(file: Path = _FILE, dry_run: bool = _DRY_RUN) -> None:
    """Start the sessions of a team, on all its hosts, in order.

    What runs is left as it is; what is stopped or terminated is resumed; what isn't there is created. Each is a command
    that you could type in the file's folder, and is printed. One that fails doesn't keep the others from being started,
    but those that stand by it.
    """
    team = _read(file)
    found, code = _look(team)
    failed: set[tuple[str, str]] = set()
    for planned in plan_up([member for member in team if member.host in found], found):
        member = planned.member
        beside = stands_by(member, team)
        if beside and planned.action is Action.CREATE and (beside.host, beside.name) in failed:
            typer.echo(f"{member.name}: isn't created, as it stands by {beside.name}, which has failed", err=True)
            ended = AgentmeshError.exit_code
        else:
            ended = _do(planned, dry_run=dry_run)
        if ended:
            failed.add((member.host, member.name))
        code = max(code, ended)
    raise typer.Exit(code)


def down(file: Path = _FILE, dry_run: bool = _DRY_RUN) -> None:
    """Stop the sessions of a team, the last one first; their conversations are kept.

    Each is stopped as `agentmesh session stop` does it, which refuses while there is a draft or work goes on.
    """
    team = _read(file)
    found, code = _look(team)
    for planned in plan_down([member for member in team if member.host in found], found):
        code = max(code, _do(planned, dry_run=dry_run))
    raise typer.Exit(code)


def _read(file: Path) -> tuple[Member, ...]:
    """Return the members of a file's team; its folder becomes the working folder. Raises BadTeam, UsageError."""
    try:
        text = file.read_text()
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadTeam(path=file, reason=error) from error
    team = read_team(str(file), text, document, load_alias(Paths.from_environment()))
    for member in team:
        is_elsewhere(member.host)  # or it is said before anything is started
    os.chdir(file.absolute().parent)
    return team


def _look(team: tuple[Member, ...]) -> tuple[Found, int]:
    """Return how the sessions of each host are that can be asked, and the exit code; tell of those that can't be."""
    found = {}
    code = 0
    hosts = list(dict.fromkeys(member.host for member in team))
    for host, (asked, failure) in zip(hosts, look_at(hosts), strict=True):
        code = max(code, failure)
        if failure:
            names = ", ".join(member.name for member in team if member.host == host)
            typer.echo(f"{names}: {asked.reason}", err=True)
        else:
            found[host] = {one.session.name: one.session.status for one in asked.sessions}
    return found, code


def _do(planned: Planned, *, dry_run: bool) -> int:
    """Do what a session needs, or print it; returns the exit code."""
    member = planned.member
    words = agentmesh(*command(planned))
    if planned.action is Action.NOTHING:
        typer.echo(f"{member.name}: {planned.status or 'not there'}")
    elif dry_run:
        typer.echo(f"$ {typed(words)}")
    else:
        return run(words, check=False)
    return 0


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the program."""
    commands.command(epilog=examples("agentmesh up team.toml --dry-run", "agentmesh up team.toml"))(up)
    commands.command(epilog=examples("agentmesh down team.toml"))(down)
