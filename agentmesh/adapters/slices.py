"""Slices as the TOML that people and scripts read. Written by hand: thousands of panes must not take seconds."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from agentmesh.core.model import Pane, Slice

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


Rendered = dict[str, tuple[Slice, str, dict[str, str]]]
"""By host: the slice rendered last, its own block but for the state, and the blocks of its addresses."""


def render_slices(slices: Iterable[Slice], states: Mapping[str, str], rendered: Rendered | None = None) -> bytes:
    """Return slices as the TOML that people and scripts read; ``states`` says how each host stands.

    With ``rendered``, which is kept up to date, a slice that is the same as the last time costs next to nothing: in a
    large mesh one of many has changed.
    """
    ordered = sorted(slices, key=lambda part: part.host)
    rendered = {} if rendered is None else rendered
    for host in rendered.keys() - {part.host for part in ordered}:
        del rendered[host]
    lines = ["# Written by agentmesh; changes are overwritten."]
    blocks: dict[str, str] = {}
    for part in ordered:
        if part.host not in rendered or rendered[part.host][0] is not part:
            rendered[part.host] = part, "\n".join(_host_lines(part)), _pane_blocks(part)
        _, head, panes = rendered[part.host]
        lines += [head, f"state = {toml_text(states.get(part.host, ''))}"]
        for address, block in panes.items():
            blocks.setdefault(address, block)  # two hosts may claim one; the file must stay readable
    return "\n".join([*lines, *blocks.values(), ""]).encode()


def _pane_blocks(part: Slice) -> dict[str, str]:
    blocks: dict[str, str] = {}
    for pane in part.panes:
        if pane.address not in blocks:
            blocks[pane.address] = "\n".join(_pane_lines(pane))
    return blocks


def _host_lines(part: Slice) -> Iterator[str]:
    version = part.version
    moment = datetime.fromtimestamp(part.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield from ("", f"[slices.{_key(part.host)}]")
    yield f"version = {toml_text(f'{version.epoch}.{version.counter}.{version.digest}')}"
    yield f"time = {moment}"


def _pane_lines(pane: Pane) -> Iterator[str]:
    yield from ("", f"[agents.{_key(pane.address)}]")
    for name in ("host", "target", "session", "window", "role", "scope", "pane", "command", "cwd", "program"):
        yield f"{name} = {toml_text(getattr(pane, name))}"
    if pane.handle:
        yield f"handle = {toml_text(pane.handle)}"
    if pane.server != "default":
        yield f"server = {toml_text(pane.server)}"
    if pane.formerly:
        yield f"formerly = [{', '.join(map(toml_text, pane.formerly))}]"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else toml_text(name)


def toml_text(text: str) -> str:
    r"""Return a text as TOML's basic string: JSON's, but that TOML escapes DEL, too (TOML 1.0, "String").

    >>> toml_text('a "b"\n')
    '"a \\"b\\"\\n"'
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
