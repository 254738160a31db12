"""Hosts of people who have never had agentmesh, and what they type there."""

import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, requires
from pathlib import Path
from typing import TypeAlias

from packaging.requirements import Requirement

from tests.e2e.hosts import Host, Network
from tests.e2e.namespaces import SYSTEM_PATH
from tests.eventually import eventually

CHECKOUT = Path(__file__).parents[2]
PACKAGES = Path("/run/packages")
"""Stands for the package index, which a namespaced host can't reach."""
PROGRAMS = Path("/run/programs")
PATH = f"{PROGRAMS}:{sys.base_prefix}/bin:{SYSTEM_PATH}"
INSTALLERS = ("pipx", "uv")
"""With uv beside it, pipx is quick."""
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": str(PACKAGES),
    "UV_OFFLINE": "1",
    "UV_FIND_LINKS": str(PACKAGES),
    "UV_NO_CACHE": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
CRONTAB = """\
#!/bin/sh
cd /run
case "$1" in -l) cat crontab ;; -r) rm crontab ;; -) cat >crontab.new && mv crontab.new crontab ;; esac
"""
"""Keeps the crontab: a host has no spool of cron's that can be written."""
PROFILE = """\
HISTFILE=
PS1='$?> '
PATH={path}
if [ -d ~/.local/bin ]; then PATH=~/.local/bin:$PATH; fi
"""
"""The last line is what Debian's own has."""
PIPX_OWN = (".cache/pipx", ".local/share/pipx", ".local/share/man", ".local/state/pipx")
"""What pipx keeps for itself below the home, whatever it installs."""
PANE = "dev:me"
_PROMPT = re.compile(r"^(\d+)> ?$")
PATIENCE = 120.0


def add_newcomer(network: Network, name: str) -> Host:
    """Add a host without agentmesh, with a tmux server in which a person sits at a shell."""
    host = network.add_host(name)
    programs = host.outside(PROGRAMS)
    programs.mkdir()
    for program in INSTALLERS:
        (programs / program).symlink_to(Path(sys.prefix) / "bin" / program)
    (programs / "crontab").write_text(CRONTAB)
    (programs / "crontab").chmod(0o755)
    host.environment |= OFFLINE | {"PATH": PATH}
    host.outside(".profile").write_text(PROFILE.format(path=PATH))
    for folder in (".local/bin", ".local/share", ".local/state", ".cache"):
        host.outside(folder).mkdir(parents=True, exist_ok=True)
    config = host.outside("/run/sshd_config")
    told = " ".join(f'"{key}={value}"' for key, value in (OFFLINE | {"PATH": PATH, "LANG": "C.UTF-8"}).items())
    config.write_text(re.sub("^SetEnv .*$", f"SetEnv {told}", config.read_text(), flags=re.MULTILINE))
    host.stop_sshd()
    host.start_sshd()
    host.run("tmux", "new-session", "-d", "-s", "dev", "-n", "me", "-x", "200", "-y", "50")
    return host


def give_packages(*hosts: Host) -> None:
    """Put the wheels of what agentmesh and its build need where the hosts' pip and uv look for them."""
    with tempfile.TemporaryDirectory() as folder:
        for name in {*dependencies("agentmesh", set()), *dependencies("hatchling", {"hatchling"})}:
            repack(name, Path(folder))
        for host in hosts:
            shutil.copytree(folder, host.outside(PACKAGES))


def dependencies(name: str, known: set[str]) -> set[str]:
    """Return what an installed package depends on here, and what that depends on."""
    for text in requires(name) or ():
        need = Requirement(text)
        if need.name not in known and (need.marker is None or need.marker.evaluate({"extra": ""})):
            known.add(need.name)
            dependencies(need.name, known)
    return known


def repack(name: str, folder: Path) -> None:
    """Make a wheel of an installed package again."""
    found = distribution(name)
    (*_, tag) = [line.partition(": ")[2] for line in (found.read_text("WHEEL") or "").splitlines() if line[:3] == "Tag"]
    wheel = folder / f"{found.name.replace('-', '_')}-{found.version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in found.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                archive.write(file.locate(), str(file))


def type_in(host: Host, command: str, **answers: str) -> tuple[int, str]:
    """Type a command where the person sits, and the answers to its questions; return its exit code and output."""
    host.run("tmux", "send-keys", "-t", PANE, "-R", ";", "clear-history", "-t", PANE)
    host.run("tmux", "send-keys", "-t", PANE, "-l", command, ";", "send-keys", "-t", PANE, "Enter")

    def said() -> str:
        screen = host.run("tmux", "capture-pane", "-p", "-J", "-S", "-", "-t", PANE).stdout.rstrip()
        return screen.partition(command)[2]

    def end() -> re.Match[str] | None:
        return _PROMPT.match(said().rpartition("\n")[2])

    for question, answer in answers.items():
        eventually(lambda question=question: question in said(), f"it asks: {question}", said, PATIENCE)  # type: ignore[misc]
        host.run("tmux", "send-keys", "-t", PANE, answer, "Enter")
    eventually(end, f"`{command}` ends", said, PATIENCE)
    prompt = end()
    assert prompt
    return int(prompt[1]), said()


Sight: TypeAlias = dict[str, tuple[int, bytes | str]]


def look(host: Host) -> Sight:
    """Return everything in a host's home but what is pipx's: mode, and content or where a link leads; and more.

    The more is the options and hooks of the tmux server, and the crontab.
    """
    home = host.outside("")
    seen = {str(path.relative_to(home)): _seen(path) for path in _walk(home, home)}
    for words in (("show-options", "-s"), ("show-options", "-g"), ("show-hooks", "-g"), ("show-hooks", "-gw")):
        seen[f"tmux {' '.join(words)}"] = (0, host.run("tmux", *words).stdout)
    table = host.outside("/run/crontab")
    return seen | {"crontab": (0, table.read_bytes() if table.exists() else "")}


def differing(one: Sight, other: Sight) -> dict[str, tuple[object, object]]:
    """Return what is not the same in both."""
    return {name: (one.get(name), other.get(name)) for name in {*one, *other} if one.get(name) != other.get(name)}


def _walk(home: Path, folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        path = Path(entry)
        if str(path.relative_to(home)).startswith(PIPX_OWN) or path.lstat().st_dev != home.stat().st_dev:
            continue  # of another device is what the test itself needs: Python, the checkout
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(home, path)


def _seen(path: Path) -> tuple[int, bytes | str]:
    mode = path.lstat().st_mode
    if path.is_symlink():
        return mode, os.fspath(path.readlink())
    return mode, path.read_bytes() if path.is_file() else ""
