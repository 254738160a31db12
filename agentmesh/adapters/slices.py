"""Slices as the TOML that people and scripts read."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import tomlkit

from agentmesh.core.model import Pane, Slice


def render_slices(slices: Iterable[Slice], states: Mapping[str, str]) -> bytes:
    """Return slices as the TOML that people and scripts read; ``states`` says how each host stands."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Written by agentmesh; changes are overwritten."))
    hosts, agents = tomlkit.table(is_super_table=True), tomlkit.table(is_super_table=True)
    for part in sorted(slices, key=lambda part: part.host):
        host = tomlkit.table()
        host.add("version", f"{part.version.epoch}.{part.version.counter}.{part.version.digest}")
        host.add("time", datetime.fromtimestamp(part.time, UTC))
        host.add("state", states.get(part.host, ""))
        hosts.add(part.host, host)
        for pane in part.panes:
            if pane.address not in agents:  # two hosts may claim one; the file must stay readable
                agents.add(pane.address, _render_pane(pane))
    document.add("slices", hosts)
    document.add("agents", agents)
    return tomlkit.dumps(document).encode()


def _render_pane(pane: Pane) -> tomlkit.items.Table:
    table = tomlkit.table()
    for name in ("host", "target", "session", "window", "role", "scope", "pane", "command", "cwd", "program"):
        table.add(name, getattr(pane, name))
    if pane.handle:
        table.add("handle", pane.handle)
    if pane.server != "default":
        table.add("server", pane.server)
    if pane.formerly:
        table.add("formerly", list(pane.formerly))
    return table
