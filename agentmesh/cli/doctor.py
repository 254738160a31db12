"""agentmesh doctor: what stands between a pane and its messages."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import typer

from agentmesh.cli.ask import ask_for
from agentmesh.cli.table import console, escape
from agentmesh.config import Paths
from agentmesh.core.address import slug
from agentmesh.core.capture import SCREEN, Capture, recording
from agentmesh.core.finding import Finding, Health, is_healthy
from agentmesh.core.readiness import Action, action_for
from agentmesh.core.text import printable
from agentmesh.errors import AgentmeshError

MARKS = {
    Health.OK: "[green]✓[/green]",
    Health.WARNING: "[yellow]![/yellow]",
    Health.BROKEN: "[bold red]✗[/bold red]",
}
FLAGS = ("dead", "denied", "in_mode", "synchronized", "input_off", "alternate", "shell_is_agent")


def doctor(
    capture: str = typer.Option("", "--capture", metavar="ADDRESS", help="Record what this pane of this host shows."),
    folder: Path = typer.Argument(Path(), help="With --capture: where to put the recording."),
    fix: bool = typer.Option(
        False,
        "--fix",
        help="Mend what can safely be: modes, hooks, a socket left by a crash, an agent that is gone or hangs.",
    ),
    json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
) -> None:
    """Say what is wrong here, and how to mend it.

    This host is looked over, its agent, and its way to each peer; what is broken is named with the command that helps.
    With or without a running agent; it takes some seconds at most. The exit code is 0 when nothing is broken; warnings
    don't count.

    With --capture, say what every sensor sees of a pane and what a message would meet there; keep its screen as three
    files.
    """
    if capture:
        _capture(capture, folder)
        return
    examined = asyncio.run(_examine(Paths.from_environment(), fix=fix))
    if json:
        typer.echo(msgspec.json.encode(examined))
    else:
        _show(examined)
    raise typer.Exit(0 if is_healthy(examined.findings) else AgentmeshError.exit_code)


class Examined(msgspec.Struct, frozen=True):
    """What was found, and what was mended before."""

    findings: list[Finding]
    fixed: list[str]


async def _examine(paths: Paths, *, fix: bool) -> Examined:
    from agentmesh.doctor import examination  # noqa: PLC0415 (slow, and only needed here)

    findings = await examination.examine(paths)
    fixed = await examination.fix(paths, findings) if fix else []
    return Examined(await examination.examine(paths) if fixed else findings, fixed)


def _show(examined: Examined) -> None:
    screen = console()
    for done in examined.fixed:
        screen.print(f"[cyan]fixed[/cyan]  {escape(done)}", soft_wrap=True)
    width = max(len(finding.name) for finding in examined.findings)
    for finding in examined.findings:
        name = escape(finding.name.ljust(width))
        screen.print(f"{MARKS[finding.state]} {name}  {escape(printable(finding.seen))}", soft_wrap=True)
        if finding.remedy:
            screen.print(f"  {' ' * width}  → {escape(finding.remedy)}", soft_wrap=True)


def _capture(address: str, folder: Path) -> None:
    seen = ask_for(Capture, "capture", address)
    for name, said in _told(seen):
        typer.echo(f"{name:10} {said}".rstrip())
    typer.echo(f"{'recorded':10} {_keep(seen, folder)}")


def _told(seen: Capture) -> Iterator[tuple[str, str]]:
    """Yield what each sensor said, and what follows from it."""
    facts, tty = seen.facts, seen.tty
    yield "pane", f"{seen.address} ({facts.pane}, {facts.tty}, pid {facts.pid})"
    yield "tmux", ", ".join(flag.replace("_", " ") for flag in FLAGS if getattr(facts, flag)) or "no flags"
    yield "title", facts.title
    shown = "shown" if facts.cursor_visible else "hidden"
    yield "cursor", f"column {facts.cursor_x}, row {facts.cursor_y} of {facts.width}x{facts.height}, {shown}"
    if tty:
        mode = f"{'lines' if tty.canonical else 'keys'}, {'echo' if tty.echo else 'no echo'}"
        yield "kernel", f"{mode}, {tty.unread} bytes unread"
        yield "in front", ", ".join(tty.programs) + (" (a shell)" if tty.shell_in_front else "")
        yield "", f"{'' if tty.alone else 'not '}alone, {'' if tty.reading else 'not '}seen reading"
    else:
        yield "kernel", "could not be asked"
    yield "profile", seen.profile or "none"
    if seen.box:
        yield "box", f"{seen.box.state}{', busy' if seen.box.busy else ''} {seen.box.text!r}"
    yield "readiness", seen.readiness
    plainly, forced = (action_for(seen.readiness, force=force) for force in (False, True))
    yield "plainly", plainly
    yield "--wait", "wait" if plainly is Action.REFUSE else plainly
    yield "--force", forced


def _keep(seen: Capture, folder: Path) -> Path:
    """Write the recording under a name that is still free; return the path of its screen."""
    program = seen.profile or slug(seen.facts.command) or "pane"
    stem = f"{program}-{slug(seen.readiness.name)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while (folder / f"{_numbered(stem, number)}{SCREEN}").exists():
            number += 1
        for ending, text in recording(seen.facts, seen.tty).items():
            (folder / f"{_numbered(stem, number)}{ending}").write_text(text)
    except OSError as error:
        raise AgentmeshError(reason=f"the recording can't be written: {error}") from error
    return folder / f"{_numbered(stem, number)}{SCREEN}"


def _numbered(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}-{number}"


def add_to(commands: typer.Typer) -> None:
    """Add this command to the program."""
    commands.command()(doctor)
