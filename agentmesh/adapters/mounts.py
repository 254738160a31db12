"""What is mounted where: Linux's mountinfo, elsewhere mount(8)."""

import subprocess
import sys
from pathlib import Path

from agentmesh.core.filesystem import is_on_network, kind_of

_MOUNTS = Path("/proc/self/mountinfo")


def read_mounts() -> str:
    """Return what the system says is mounted where; nothing where it doesn't say."""
    if _MOUNTS.exists():
        return _MOUNTS.read_text(errors="replace")
    if sys.platform != "darwin":
        return ""
    return subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=5, check=False).stdout


def network_kind(folder: Path) -> str:
    """Return the kind of file system that a folder is on, if that is on another machine; else nothing."""
    kind = kind_of(str(folder.resolve()), read_mounts())
    return kind if is_on_network(kind) else ""
