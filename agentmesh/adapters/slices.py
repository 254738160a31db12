"""Slices as the TOML that people and scripts read. Written by hand: thousands of panes must not take seconds."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from agentmesh.core.model import Pane, Slice

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def render_slices(slices: Iterable[Slice], states: Mapping[str, str]) -> bytes:
    """Return slices as the TOML that people and scripts read; ``states`` says how each host stands."""
    ordered = sorted(slices, key=lambda part: part.host)
    panes: dict[str, Pane] = {}
    for pane in (pane for part in ordered for pane in part.panes):
        panes.setdefault(pane.address, pane)  # two hosts may claim one; the file must stay readable
    lines = ["# Written by agentmesh; changes are overwritten."]
    for part in ordered:
        lines += _host_lines(part, states.get(part.host, ""))
    for pane in panes.values():
        lines += _pane_lines(pane)
    return "\n".join([*lines, ""]).encode()


def _host_lines(part: Slice, state: str) -> Iterator[str]:
    version = part.version
    moment = datetime.fromtimestamp(part.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield from ("", f"[slices.{_key(part.host)}]")
    yield f"version = {_text(f'{version.epoch}.{version.counter}.{version.digest}')}"
    yield f"time = {moment}"
    yield f"state = {_text(state)}"


def _pane_lines(pane: Pane) -> Iterator[str]:
    yield from ("", f"[agents.{_key(pane.address)}]")
    for name in ("host", "target", "session", "window", "role", "scope", "pane", "command", "cwd", "program"):
        yield f"{name} = {_text(getattr(pane, name))}"
    if pane.handle:
        yield f"handle = {_text(pane.handle)}"
    if pane.server != "default":
        yield f"server = {_text(pane.server)}"
    if pane.formerly:
        yield f"formerly = [{', '.join(map(_text, pane.formerly))}]"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    r"""Return a text as TOML's basic string: JSON's, but that TOML escapes DEL, too (TOML 1.0, "String").

    >>> _text('a "b"\n')
    '"a \\"b\\"\\n"'
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
