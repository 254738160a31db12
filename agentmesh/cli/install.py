"""agentmesh install, uninstall: everything that this machine needs, and back again."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import typer

from agentmesh.cli.setup import ENVIRONMENT
from agentmesh.config import Config, Paths, load_alias, load_config
from agentmesh.errors import AgentmeshError, BadConfiguration, InstallFailed
from agentmesh.install import running
from agentmesh.install.agent import wait_until_it_listens
from agentmesh.install.change import AnyChange, Plan
from agentmesh.install.plan import install_plan, precious, uninstall_plan
from agentmesh.install.system import survey

_JSON = typer.Option(False, "--json", help="Print the changes as JSON, when they are made.")
NEXT = """
Next:
  notify-pane --list        who is here: every window of your tmux sessions
  agentmesh setup PEER      add another machine
  agentmesh doctor          see that all is well
`agentmesh guide` teaches an AI agent to use it; `agentmesh uninstall` undoes all this."""


class Carried(msgspec.Struct, frozen=True):
    """What was done, or with --dry-run would be, as --json tells it."""

    changes: list[str]
    notes: list[str]
    """What is left as it is, and why."""
    failures: list[str]
    """What could not be undone."""


def install(
    dry_run: bool = typer.Option(False, "--dry-run", help="Print every change, and make none."),
    guide: list[Path] = typer.Option([], metavar="FILE", help="Keep `agentmesh guide` in this file (CLAUDE.md …)."),
    json: bool = _JSON,
) -> None:
    """Set this machine up, or bring it up to date.

    Folders, programs, tmux hooks, and a service that keeps the agent running.
    What is yours stays: files are edited within a marked block, after a copy was kept, and nothing is overwritten.
    Doing it again changes nothing, or what has changed with a new version. `agentmesh uninstall` undoes it.
    """
    paths = Paths.from_environment()
    manifest = running.manifest_of(paths)
    plan = install_plan(survey(paths, load_config(paths).tmux), manifest, tuple(path.absolute() for path in guide))
    if dry_run:
        _show(plan, json=json)
        return
    running.install(plan, manifest, _silent if json else _tell)
    if not json:
        _note(plan)
    if not plan.changes and not json:
        typer.echo("Everything is in place already.")
        return
    if not wait_until_it_listens(paths):
        raise AgentmeshError(reason=f"the agent doesn't answer; see {paths.log}, or run `agentmesh run`")
    if json:
        _tell_all(plan)
        return
    typer.echo(f"The agent of {load_alias(paths)} runs.")
    typer.echo(NEXT)


def uninstall(
    dry_run: bool = typer.Option(False, "--dry-run", help="Print every change, and make none."),
    yes: bool = typer.Option(False, "--yes", help="Remove messages, keys and settings, too, without asking."),
    json: bool = _JSON,
) -> None:
    """Undo what install did, and remove what the agent made. Asks before it removes messages, keys and settings."""
    paths = Paths.from_environment()
    manifest = running.manifest_of(paths)
    kept = precious(paths)
    everything = yes or not kept
    if kept and not yes and not dry_run and sys.stdin.isatty():
        names = ", ".join(path.name for path in kept)
        everything = typer.confirm(f"Remove the messages, keys and settings in {paths.home}, too ({names})?", err=json)
    config, unread = _config(paths)
    plan = Plan((), unread) + uninstall_plan(survey(paths, config.tmux), config, manifest, everything=everything)
    if not everything:
        note = f"messages, keys and settings stay in {paths.home}; `agentmesh uninstall --yes` removes them"
        plan += Plan((), (note,))
    if dry_run:
        _show(plan, json=json)
        return
    failures = running.uninstall(plan, _silent if json else _tell)
    if json:
        _tell_all(plan, failures)
    else:
        _note(plan)
    for failure in failures:
        typer.echo(f"! {failure}", err=True)
    if failures:
        raise typer.Exit(InstallFailed.exit_code)
    if not json:
        typer.echo(f"Uninstalled. To remove the program itself: {_removal(Path(sys.prefix))}")


def _removal(environment: Path) -> str:
    """Return the command that removes this package, by the environment that it is installed in."""
    if environment == Path.home() / ENVIRONMENT:
        return f"rm -r ~/{ENVIRONMENT}"
    if "pipx" in environment.parts:
        return "pipx uninstall agentmesh"
    if "uv" in environment.parts:
        return "uv tool uninstall agentmesh"
    return f"{environment}/bin/pip uninstall agentmesh"


def _config(paths: Paths) -> tuple[Config, tuple[str, ...]]:
    """Return the settings; where they can't be read, the defaults, and what that means."""
    try:
        return load_config(paths), ()
    except BadConfiguration as error:
        meant = "whatever it says of other tmux servers, and of another folder for files, is not gone by"
        return Config(), (f"{error} So {meant}.",)


def _show(plan: Plan, *, json: bool) -> None:
    if json:
        _tell_all(plan)
        return
    for change in plan.changes:
        _tell(change)
    _note(plan)
    if not plan.changes:
        typer.echo("There is nothing to do.")


def _tell(change: AnyChange) -> None:
    typer.echo(f"- {change.says}")


def _silent(_: AnyChange) -> None:
    """Tell nothing yet."""


def _tell_all(plan: Plan, failures: Sequence[InstallFailed] = ()) -> None:
    changes = [change.says for change in plan.changes]
    typer.echo(msgspec.json.encode(Carried(changes, list(plan.notes), list(map(str, failures)))))


def _note(plan: Plan) -> None:
    for note in plan.notes:
        typer.echo(f"! {note}")


def add_to(commands: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (install, uninstall):
        commands.command()(command)
