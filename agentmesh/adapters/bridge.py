"""Join standard input and output to the agent's socket. Blocking, on two threads: the shortest way for a byte."""

import os
import socket
import sys
import threading
from pathlib import Path

from agentmesh.errors import NoAgent

READ_SIZE = 256 * 1024


def join_standard_streams(path: Path) -> None:
    """Copy both ways until either side ends. Raises NoAgent when none listens at the path."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        raise NoAgent from error
    descriptor = connection.fileno()
    threading.Thread(target=_copy_in, args=(connection,), daemon=True).start()
    with connection:
        _copy(descriptor, sys.stdout.fileno())


def _copy_in(connection: socket.socket) -> None:
    _copy(sys.stdin.fileno(), connection.fileno())
    # The agent then ends its side, and with that the other direction ends too.
    connection.shutdown(socket.SHUT_WR)


def _copy(source: int, target: int) -> None:
    try:
        while data := memoryview(os.read(source, READ_SIZE)):
            while data:
                data = data[os.write(target, data) :]
    except OSError:
        return  # the other side has ended; so do we
