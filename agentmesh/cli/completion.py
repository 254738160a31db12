"""agentmesh completion: the script for a shell, made of what the commands take and of hooks/completion."""

import shlex
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import typer

from agentmesh.cli import names
from agentmesh.cli.help import examples
from agentmesh.config import hooks_file
from agentmesh.errors import BadConfiguration

LONGEST_MEANING = 90
"""Characters of a command's own sentence that stand beside it."""


class Shell(StrEnum):
    """The shells that can be told."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


class Row(NamedTuple):
    """One thing that may stand on a command line, as `hooks/completion/candidates.awk` reads it."""

    command: str
    what: str
    """``command``, ``option`` or ``argument``."""
    word: str
    """The name of the command or option; of an argument ``+`` when it may be repeated."""
    kind: str = ""
    """The metavar of an argument or an option's value: some kinds are looked up when Tab is pressed."""
    meaning: str = ""


def completion(shell: Shell = typer.Argument(metavar="|".join(Shell), help="Your shell.")) -> None:
    """Print the script with which a shell completes our commands.

    It completes the commands, options, peers, files, this host's jobs and the addresses of the mesh as it is, of
    agentmesh, notify-pane and agent-*. Run the lines for your shell once, the first of them again after an upgrade.
    """
    folder = hooks_file().parent / "completion"
    try:
        candidates, binding = (folder / "candidates.awk").read_text(), (folder / f"agentmesh.{shell}").read_text()
    except OSError as error:
        raise BadConfiguration(path=folder, reason=error) from error
    table = "\n".join("\t".join(row) for row in _rows())
    if shell is Shell.FISH:
        head = f"set -g __agentmesh_table {_fish(table)}\nset -g __agentmesh_candidates {_fish(candidates)}"
    else:
        head = f"_agentmesh_table={shlex.quote(table)}\n_agentmesh_candidates={shlex.quote(candidates)}"
    typer.echo(f"# Made by `agentmesh completion {shell}`.\n{head}\n{binding}", nl=False)


def _fish(text: str) -> str:
    r"""Quote a text for fish, where a backslash means something between single quotes, too.

    >>> print(_fish(r"it's \n"))
    'it\'s \\n'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _rows() -> Iterator[Row]:
    """Yield all that may stand on the command lines of our programs."""
    from agentmesh.agent.arguments import actions  # noqa: PLC0415 (only needed here)
    from agentmesh.cli.app import commands  # noqa: PLC0415 (it holds this module)

    yield from _rows_of("agentmesh", typer.main.get_command(commands))
    for name, program in names.programs().items():
        yield from _rows_of(name, typer.main.get_command(program))
    for action in actions():
        kind = action.metavar if isinstance(action.metavar, str) and action.nargs != 0 else ""
        if not action.option_strings:
            yield Row("notify-pane", "argument", "", kind)
        for word in action.option_strings:
            # A value that may be left out is given with an equals sign: the next word isn't it.
            yield Row("notify-pane", "option", word, "" if action.nargs == "?" else kind, action.help or "")


def _rows_of(path: str, command: Any) -> Iterator[Row]:  # noqa: ANN401 (Typer has no public name for its commands)
    """Yield what may stand after a command, and after each of its own commands."""
    for parameter in command.params:
        kind = parameter.metavar or "TEXT"
        if parameter.param_type_name == "argument":
            yield Row(path, "argument", "+" if parameter.nargs < 0 else "", kind)
        else:
            for word in parameter.opts:
                yield Row(path, "option", word, "" if parameter.is_flag else kind, parameter.help)
    yield Row(path, "option", "--help", "", "Show this message and exit.")
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield Row(path, "command", name, "", inner.get_short_help_str(LONGEST_MEANING))
            yield from _rows_of(f"{path} {name}", inner)


def add_to(commands: typer.Typer) -> None:
    """Add this command to the program."""
    commands.command(
        epilog=examples(
            "agentmesh completion bash >~/.agents/completion.bash",
            "  echo '. ~/.agents/completion.bash' >>~/.bashrc",
            "agentmesh completion zsh >~/.agents/completion.zsh",
            "  echo '. ~/.agents/completion.zsh' >>~/.zshrc",
            "agentmesh completion fish >~/.config/fish/conf.d/agentmesh.fish",
        )
    )(completion)
