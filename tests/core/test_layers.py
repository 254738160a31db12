"""Who may import whom: the layers of the project, held by reading its imports."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[2] / "agentmesh"


class Rule(NamedTuple):
    """What the modules of one layer may import."""

    ours: frozenset[str]
    """Parts of agentmesh."""
    late: frozenset[str] = frozenset()
    """Parts of agentmesh that may be imported too, but only inside a function."""
    standard: frozenset[str] | None = None
    """Modules of the standard library; None for all."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PURE = _names("collections datetime difflib enum fnmatch hashlib hmac itertools json re shlex typing unicodedata")
"""The standard library's part that has no clock, no I/O, no randomness and no event loop."""

RULES = {
    "core": Rule(_names("core errors"), standard=PURE),
    "errors": Rule(_names(""), standard=PURE),
    "store": Rule(_names("store core errors")),
    "adapters": Rule(_names("adapters core errors")),
    "build": Rule(_names("")),
    "config": Rule(_names("core errors")),
    "agent": Rule(_names("agent store adapters core config build errors __version__")),
    "doctor": Rule(_names("doctor agent.identities agent.visit install adapters core config errors __version__")),
    "cli": Rule(_names("cli core config errors adapters.ipc __version__"), late=_names("agent doctor")),
    "cli.review": Rule(_names("cli core config errors adapters.diff")),
    "cli.agent": Rule(_names("cli install.agent core config errors"), late=_names("agent")),
    "cli.install": Rule(_names("cli install core config errors")),
    "cli.broker": Rule(_names("cli core config errors"), late=_names("adapters.mqtt")),
    "cli.guide": Rule(_names("install.guide")),
    "install": Rule(_names("install adapters core config build errors __version__"), late=_names("agent")),
    "cli.wire": Rule(_names("notify adapters.bridge"), late=_names("agent config")),
    "notify": Rule(_names(""), late=_names("agent"), standard=_names("_socket posix sys")),
    "__main__": Rule(_names(""), late=_names("cli")),
    "__init__": Rule(_names("")),
}
"""By layer, or by module where one differs from its layer."""

OUTSIDERS = {
    "aiomqtt": _names("adapters.mqtt"),
    "paho": _names("adapters.mqtt"),
    "asyncssh": _names("adapters"),
    "libtmux": _names("adapters"),
    "watchfiles": _names("adapters"),
    "asyncinotify": _names("adapters"),
    "typer": _names("cli"),
    "rich": _names("cli"),
    "tomlkit": _names("config"),
    "msgspec": _names("core store adapters config agent cli doctor install"),
}
"""Packages of others, and where alone each may be imported."""


class Import(NamedTuple):
    """One name that a module imports."""

    name: str
    late: bool
    """Whether it is imported inside a function."""


def imports(source: str) -> Iterator[Import]:
    """Yield what a source text imports; a relative import under its dots."""
    tree = ast.parse(source)
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    late = {inner for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from (Import(f"{origin}.{alias.name}", node in late) for alias in node.names)


def violations(module: str, source: str) -> list[str]:
    """Return the imports of a module, named from agentmesh down (``core.wire``), that its layer may not make."""
    rule = RULES.get(module) or RULES[module.partition(".")[0]]
    return [found.name for found in imports(source) if not _is_allowed(module, rule, found)]


def _is_allowed(module: str, rule: Rule, found: Import) -> bool:
    package, _, rest = found.name.partition(".")
    if package == "agentmesh":
        return _is_within(rest, rule.ours) or (found.late and _is_within(rest, rule.late))
    if package in sys.stdlib_module_names:
        return rule.standard is None or package in rule.standard or (found.late and "core" not in rule.ours)
    return package in OUTSIDERS and _is_within(module, OUTSIDERS[package])


def _is_within(name: str, parts: frozenset[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    assert violations(module, PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text()) == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("core.")])
def test_core_never_asks_for_the_time(module: str) -> None:
    tree = ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text())
    asked = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not asked & {"now", "utcnow", "today"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        *(("core.new", f"import {name}") for name in ("time", "asyncio", "os", "socket", "subprocess", "random")),
        *(("core.new", f"import {name}") for name in ("pathlib", "sqlite3", "threading", "secrets", "logging")),
        ("core.new", "from agentmesh.store import outbox"),
        ("core.new", "from agentmesh import adapters"),
        ("core.new", "from . import registry"),
        ("core.new", "def late():\n    import time"),
        ("store.new", "from agentmesh.adapters.files import replace"),
        ("adapters.new", "import agentmesh.config"),
        ("adapters.new", "import tomlkit"),
        ("agent.new", "import asyncssh"),
        ("agent.new", "from agentmesh.cli.ask import ask"),
        ("agent.new", "import typer"),
        ("cli.new", "from agentmesh.agent import app"),
        ("cli.new", "from agentmesh.doctor import examination"),
        ("doctor.new", "from agentmesh.agent import app"),
        ("agent.new", "from agentmesh.doctor import examination"),
        ("cli.new", "from agentmesh.adapters import tmux"),
        ("cli.new", "from agentmesh.adapters.stdio import standard_streams"),
        ("cli.new", "def late():\n    import libtmux"),
        ("config", "import requests"),
        ("notify", "import os"),
        ("notify", "import msgspec"),
        ("notify", "from agentmesh.errors import NoAgent"),
        ("__main__", "from agentmesh.cli.app import app"),
    ],
)
def test_an_import_across_layers_is_reported(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.new", "import re\nfrom agentmesh.core.model import Pane\nfrom agentmesh.errors import BadBody"),
        ("cli.new", "import typer\ndef late():\n    from agentmesh.agent import app"),
        ("cli.wire", "from agentmesh.adapters.bridge import join_standard_streams"),
        ("notify", "import sys\ndef late():\n    import site\n    from agentmesh.agent.alone import run_command"),
    ],
)
def test_an_import_within_the_rules_is_not_reported(module: str, source: str) -> None:
    assert violations(module, source) == []
