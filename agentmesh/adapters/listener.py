"""Whether somebody listens at a Unix socket."""

import os
import socket
from pathlib import Path

PATIENCE = 5.0


def has_listener(path: Path) -> bool:
    """Tell whether somebody listens there; False is certain. Raises OSError where that can't be told."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PATIENCE)
        try:
            probe.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True
