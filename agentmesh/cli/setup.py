"""agentmesh setup: from nothing to a first message seen on another machine, by commands that a person could type."""

import shlex
import sys
import tempfile
import time
from pathlib import Path

import typer

from agentmesh.cli.ask import ask_for
from agentmesh.cli.steps import THERE, agentmesh, over_ssh, run
from agentmesh.config import Paths, is_alias, load_alias
from agentmesh.core.model import Pane, Standing
from agentmesh.errors import BadAlias, SetupFailed, UsageError

PATIENCE = 30.0
"""Seconds that a link, or a window, may take to be known."""
SESSION = "agentmesh-hello"
ENVIRONMENT = ".local/share/agentmesh"
"""Below the home: the virtual environment in which pip installs on a peer, where there is neither pipx nor uv."""
_INSTALL = """\
set -e; cd "$(mktemp -d)"; trap 'rm -r "$PWD"' EXIT; cat >{wheel}
if command -v pipx >/dev/null; then pipx install --force ./{wheel}; bin=~/.local/bin
elif command -v uv >/dev/null; then uv tool install --force ./{wheel}; bin=~/.local/bin
else bin=~/{environment}/bin; python3 -m venv ~/{environment}; $bin/pip install --quiet ./{wheel}; fi
[ -e ~/.agents/self.conf ] || {{ mkdir -p -m 700 ~/.agents; echo {name} >~/.agents/self.conf; }}
$bin/agentmesh install
"""


def setup(
    peers: list[str] = typer.Argument(metavar="PEER", help="SSH aliases of other machines; each becomes its name."),
    yes: bool = typer.Option(False, "--yes", help="Ask nothing: install on the peers, and pin the keys."),
) -> None:
    """Make a mesh of this machine and others.

    Installs on each, makes them peers, pins their keys, and sends a first message.
    Each must let you in by `ssh PEER` with a key. Every step prints the command by which it can be done by hand; what
    is done already is left, so it can be run again. Where agentmesh is missing on a peer, a wheel of this very version
    is copied there over SSH, and installed by pipx, else uv, else pip in a virtual environment of its own; what it
    depends on comes from the package index that the peer uses.
    """
    if not yes and not sys.stdin.isatty():
        raise UsageError(reason="There is nobody to ask: give --yes.", program="agentmesh setup")
    for peer in peers:
        if not is_alias(peer):
            raise BadAlias(alias=peer, reason="use letters, digits, '-', '_' and '.', as in ~/.ssh/config")
    paths = Paths.from_environment()
    own = _name_this_host(paths, yes=yes)
    run(agentmesh("install"))
    for peer in peers:
        typer.echo(f"\n== {peer}")
        _join(peer, own, paths, yes=yes)
    run(agentmesh("sync"))
    for peer in peers:
        typer.echo(f"\n== the first message to {peer}")
        _greet(peer, own)
    typer.echo("\nDone. `notify-pane --list` shows who is there; `agentmesh doctor` looks for what is wrong.")


def _name_this_host(paths: Paths, *, yes: bool) -> str:
    if paths.self.exists():
        return load_alias(paths)
    name = load_alias(paths)
    if not yes:
        name = str(typer.prompt("What is this host called, by its peers?", default=name))
        if not is_alias(name):
            raise BadAlias(alias=name, reason="use letters, digits, '-', '_' and '.'")
    run(["sh", "-c", f"mkdir -p -m 700 {shlex.quote(str(paths.home))} && echo {name} >{shlex.quote(str(paths.self))}"])
    return name


def _join(peer: str, own: str, paths: Paths, *, yes: bool) -> None:
    """Make another machine a peer, and this one its."""
    # ssh itself asks, where there is somebody to ask, whether an unknown host key is right.
    batch = [] if sys.stdin.isatty() else ["-o", "BatchMode=yes"]
    run(["ssh", *batch, peer, "true"], peer, remedy=f"give {peer} to ~/.ssh/config, then: ssh-copy-id {peer}")
    if run(over_ssh(peer, f"{THERE} --version"), peer, check=False):
        _install(peer, yes=yes)
    run(over_ssh(peer, f"grep -qx {own} ~/.agents/peers.conf 2>/dev/null || echo {own} >>~/.agents/peers.conf"), peer)
    if yes or typer.confirm(f"Pin the keys of {own} and {peer}, so that nobody else can speak for them?", default=True):
        run(over_ssh(peer, f"{THERE} peers authorize {own} -"), peer, stdin=paths.key.with_name("key.pub"))
        run(agentmesh("peers", "authorize", peer), peer)
    run(agentmesh("peers", "add", peer), peer)


def _install(peer: str, *, yes: bool) -> None:
    """Install this version on a peer. Raises SetupFailed where that isn't wanted."""
    if not yes and not typer.confirm(f"agentmesh isn't installed on {peer}. Install it there?", default=True):
        raise SetupFailed(peer=peer, reason="agentmesh isn't installed there")
    typer.echo(f"agentmesh isn't installed on {peer}; this version, packed as a wheel, is copied there and installed")
    from agentmesh.cli.wheel import pack  # noqa: PLC0415 (slow, and only needed here)

    with tempfile.TemporaryDirectory() as folder:
        wheel = pack(Path(folder))
        script = _INSTALL.format(wheel=wheel.name, environment=ENVIRONMENT, name=peer)
        remedy = "install Python 3.11 or newer there, and pipx, uv or python3-venv; see that its pip reaches an index"
        run(over_ssh(peer, script), peer, stdin=wheel, remedy=remedy)


def _greet(peer: str, own: str) -> None:
    """Send a message to a window that is opened on the peer for it, show what it shows, and close it."""
    _until_linked(peer)
    run(over_ssh(peer, f"tmux new-session -d -s {SESSION} -n from-{own} cat"), peer, remedy="install tmux there")
    try:
        address = _address(peer, own)
        run([sys.executable, "-P", "-m", "agentmesh.notify", address, f"hello from {own}"], peer)
        run(over_ssh(peer, f"tmux capture-pane -p -t ={SESSION}: | grep ."), peer)
    finally:
        run(over_ssh(peer, f"tmux kill-session -t ={SESSION}"), peer, check=False)


def _until_linked(peer: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (known := [other for other in ask_for(list[Standing], "peers", "list") if other.host == peer]) or (
        known[0].state != "up"
    ):
        if time.monotonic() > deadline:
            reason = known[0].reason if known else "it is not a peer"
            raise SetupFailed(peer=peer, reason=f"there is no link ({reason}); see `agentmesh doctor`")
        time.sleep(0.1)


def _address(peer: str, own: str) -> str:
    """Return the address of the window that was opened on a peer, as soon as it is known here."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for pane in ask_for(list[Pane], "list"):
            if (pane.host, pane.session, pane.window) == (peer, SESSION, f"from-{own}"):
                return pane.address
        if time.monotonic() > deadline:
            raise SetupFailed(peer=peer, reason="its windows aren't known here; see `agentmesh doctor` on both")
        time.sleep(0.1)


def add_to(commands: typer.Typer) -> None:
    """Add this command to the program."""
    commands.command()(setup)
