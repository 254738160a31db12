"""What agentmesh doctor has found, as a test reads it; and an agent that lies about itself."""

from pathlib import Path

import msgspec

from agentmesh.cli.doctor import Examined
from agentmesh.core.finding import Finding, Health

OK, WARNING, BROKEN = Health.OK, Health.WARNING, Health.BROKEN

_CUSTOMIZE = """\
import time
import agentmesh
agentmesh.__version__ = "0.0.1"
real = time.time
time.time = lambda: real() + 100
"""


def findings(output: str) -> dict[str, Finding]:
    """Return what `agentmesh doctor --json` prints, by name."""
    return {finding.name: finding for finding in msgspec.json.decode(output, type=Examined).findings}


def lie(folder: Path, inside: Path) -> dict[str, str]:
    """Return the environment in which an agent is of another version, and its clock goes wrong.

    ``folder`` is written; ``inside`` is its path as that agent sees it.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_CUSTOMIZE)
    return {"PYTHONPATH": str(inside)}
