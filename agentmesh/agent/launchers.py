"""The programs in ``~/.agents/bin``: the same path on every host, whatever environment this package is installed in."""

import sys
from pathlib import Path

from agentmesh.adapters.files import replace

_LONGEST_SHEBANG = 120
"""Bytes; older Linux kernels cut at 127 (execve(2))."""
_EXECUTABLE = 0o700

# The hot path: without site, and found by one entry on the path.
_NOTIFY = """\
import sys
sys.path.append({packages!r})
from agentmesh.notify import main
main()
"""
_COMMAND = """\
import sys
from {module} import {function}
sys.exit({function}())
"""
_COMMANDS = {
    "agentmesh": ("agentmesh.__main__", "main"),
    "agent-discover": ("agentmesh.cli.names", "discover"),
    "agent-register-hook": ("agentmesh.cli.names", "register_hook"),
    "agent-self-identify": ("agentmesh.cli.names", "self_identify"),
}


def launchers() -> dict[str, bytes]:
    """Return every launcher by its name: the programs of the environment that this process runs in."""
    packages = str(Path(__file__).parents[2])
    texts = {"notify-pane": _launcher("-IS", _NOTIFY.format(packages=packages))}
    for name, (module, function) in _COMMANDS.items():
        texts[name] = _launcher("-I", _COMMAND.format(module=module, function=function))
    return texts


def write_launchers(folder: Path) -> None:
    """Write every launcher, where it isn't there already."""
    for name, text in launchers().items():
        replace(folder / name, text, _EXECUTABLE)


def _launcher(options: str, code: str) -> bytes:
    line = f"#!{sys.executable} {options}"
    if len(line.encode()) > _LONGEST_SHEBANG or " " in sys.executable:
        # A line that sh and Python both read: sh starts the interpreter, Python sees a string.
        line = f"#!/bin/sh\n'''exec' '{sys.executable}' {options} \"$0\" \"$@\"\n' '''"
    return f"{line}\n{code}".encode()
