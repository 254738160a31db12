"""Commands of ours on other hosts, over the user's own ssh: a command line goes there as data, and runs as if typed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO, Any, TypeVar

import msgspec
import typer
from typer.core import TyperCommand, TyperOption

from agentmesh.adapters.ipc import Refused
from agentmesh.cli.ask import ask
from agentmesh.cli.job import text_of
from agentmesh.cli.steps import THERE, over_ssh
from agentmesh.config import Paths, is_alias, load_alias
from agentmesh.errors import AgentmeshError, CutOff, NotAsked, ProtocolError, Unreachable, UsageError

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

HERE = "."
"""Names this host, whatever it is called elsewhere."""
HOST_HELP = "Do it on this host: a peer, or any other that `ssh ALIAS` reaches."
READY = b"agentmesh takes a command\n"
"""What the other side says before anything is sent to it: what fails until then has done nothing."""
SSH_FAILED = 255
"""ssh(1), EXIT STATUS."""
_SCRIPT = f'exec "$SHELL" -lc "exec {THERE} {{words}} <&4 4<&- >&3 3>&-" 3>&1 >&2 4<&0 </dev/null'
"""A login shell knows where programs are; what it reads and prints by itself is kept apart from what is ours."""
_OPTIONS = (
    *("-o", "ConnectTimeout=5"),
    *("-o", "ServerAliveInterval=3"),
    *("-o", "ServerAliveCountMax=3"),
    *("-o", "ControlPath=none"),  # one that is shared tells of a cut when its owner does
)
_CHUNK = 65536


class Typed(msgspec.Struct, frozen=True):
    """A command line, as it goes to another host."""

    words: list[str]
    given: str = ""
    """What the command reads on standard input."""
    sender: str = ""
    """The name under which it sends, there being no pane that it runs in."""


class Hosted(TyperCommand):
    """A command that takes ``--host``."""

    def __init__(self, name: str | None, **settings: Any) -> None:  # noqa: ANN401 (Typer's own)
        super().__init__(name, **settings)
        self.params.append(TyperOption(param_decls=["--host"], default="", metavar="ALIAS", help=HOST_HELP))

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 (Typer has no public name for it)
        """Run the command here, or there."""
        host = ctx.params.pop("host")
        if not is_elsewhere(host):
            return super().invoke(ctx)
        code = perform(host, _typed(self, ctx), sys.stdout.buffer)
        if code:
            typer.echo(f"{host} says so. A command that it names takes `--host {host}` here.", err=True)
        raise typer.Exit(code)


class HostedCommands(typer.Typer):
    """Commands that take ``--host``, but those that are of another class."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401 (Typer's own)
        """Add a command."""
        return super().command(name, **{"cls": Hosted, **settings})


def is_elsewhere(host: str) -> bool:
    """Tell whether a host that was named, if one was, is another than this one. Raises UsageError."""
    if host in {"", HERE, load_alias(Paths.from_environment())}:
        return False
    # ssh takes what begins with a dash for an option, and hands names to programs of the user's configuration.
    if not all(map(is_alias, host.split("@", 1))):
        raise UsageError(reason=f"{host!r} is no SSH alias.", program="agentmesh session")
    return True


def perform(host: str, typed: Typed, output: IO[bytes], errors: IO[bytes] | None = None) -> int:
    """Do a command on another host, its output passed on as it comes; returns its exit code.

    Raises NotAsked, and then nothing was done; CutOff, and then it isn't known.
    """
    command = over_ssh(host, _SCRIPT.format(words="as-typed"), *_OPTIONS)
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
    except FileNotFoundError as error:
        raise NotAsked(host=host, reason="there is no program called ssh on PATH", remedy="Install it") from error
    with process as ssh:
        if ssh.stdin is None or ssh.stdout is None:
            raise ProtocolError(reason="ssh has no standard streams")
        is_ready = ssh.stdout.readline(len(READY)) == READY
        if is_ready:
            try:
                with ssh.stdin as there:
                    there.write(msgspec.json.encode(typed))
            except BrokenPipeError:
                pass  # its exit code tells
            while chunk := ssh.stdout.read1(_CHUNK):  # type: ignore[attr-defined]
                output.write(chunk)
                output.flush()
        else:
            ssh.stdin.close()
    if not is_ready:
        raise _not_asked(host, ssh.returncode)
    if ssh.returncode == SSH_FAILED:
        raise CutOff(host=host, remedy=f"See `agentmesh session status --host {host}`")
    return ssh.returncode


def ask_there(kind: type[T], host: str, *words: str) -> T:
    """Return what a command puts out on another host, as a value.

    Raises NotAsked, CutOff, ProtocolError, and Refused with what is said there.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            code = perform(host, Typed(list(words)), output, errors)
        except NotAsked as error:
            if said := _said(errors):
                facts = error.facts | {"reason": said.splitlines()[-1].strip().removesuffix(".")}
                raise NotAsked(**facts) from error
            raise
        if code:
            said = _said(errors)
            raise Refused(code, text=said.partition("agentmesh: ")[2] or said)
        output.seek(0)
        try:
            return msgspec.json.decode(output.read(), type=kind)
        except msgspec.DecodeError as error:
            raise ProtocolError(reason=f"{host} answers another way ({error}), as another version may") from error


def attach_there(host: str, name: str) -> int:
    """Look at a session of another host in this terminal; its name is of letters, digits, - and _ alone."""
    script = _SCRIPT.format(words=f"session attach -- {name}")
    code = subprocess.run(over_ssh(host, script, *_OPTIONS, "-t"), check=False).returncode
    if code == SSH_FAILED:
        raise Unreachable(host=host, reason="ssh failed, or the connection was cut")
    return code


def as_typed() -> None:
    """Run a command line that comes as JSON on standard input; `--host` has ssh start this, on the other host."""
    from agentmesh.cli.app import commands  # noqa: PLC0415 (it holds this module)

    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    with open(0, "rb", closefd=False) as stdin, tempfile.TemporaryFile() as given:
        try:
            typed = msgspec.json.decode(stdin.read(), type=Typed)
        except msgspec.DecodeError as error:
            raise ProtocolError(reason="the command line was cut off") from error
        given.write(typed.given.encode())
        given.seek(0)
        os.dup2(given.fileno(), 0)
    os.environ["AGENT_NAME"] = typed.sender
    commands(typed.words, prog_name="agentmesh")


def _typed(command: Hosted, context: Any) -> Typed:  # noqa: ANN401 (as above)
    """Return a command line that means the same on another host: texts are read here, and go as they are."""
    options, arguments, given = [f"--host={HERE}"], [], ""
    for parameter in command.params:
        if parameter.name not in context.params or not _was_typed(context, parameter.name):
            continue
        value = context.params[parameter.name]
        if "FILE" in (parameter.metavar or "").split("|"):
            value, given = "-", text_of(value)
        elif parameter.param_type_name == "argument" and parameter.required and list(value) == ["-"]:
            given = sys.stdin.read()
        values = [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
        if parameter.param_type_name == "argument":
            arguments += values
        elif isinstance(value, bool):
            options.append(parameter.opts[0] if value else parameter.secondary_opts[0])
        else:
            options += [f"{parameter.opts[0]}={each}" for each in values]
    return Typed([context.parent.info_name, context.info_name, *options, "--", *arguments], given, _sender())


def _was_typed(context: Any, name: str | None) -> bool:  # noqa: ANN401 (as above)
    """Tell whether a value stands on the command line; what comes from the environment is this host's affair."""
    return context.get_parameter_source(name).name == "COMMANDLINE"  # type: ignore[no-any-return]


def _sender() -> str:
    try:
        return ask("whoami").decode().removesuffix("\n")
    except AgentmeshError:
        return os.environ.get("AGENT_NAME", "")


def _not_asked(host: str, code: int) -> NotAsked:
    if code == SSH_FAILED:
        reason, remedy = "ssh failed", f"See what `ssh -o BatchMode=yes {host} true` says"
    else:
        reason, remedy = "agentmesh isn't installed there, or is older", f"`agentmesh setup {host}` installs it"
    return NotAsked(host=host, reason=reason, remedy=remedy)


def _said(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read().decode(errors="replace").strip()


def add_to(commands: typer.Typer) -> None:
    """Add this command to the program."""
    commands.command("as-typed", hidden=True)(as_typed)
