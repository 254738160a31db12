"""Join standard input and output to the agent's socket. Blocking, on two threads: the shortest way for a byte.

Each conversation of a peer's begins with it, so it imports little.
"""

import _socket
import os
import threading

READ_SIZE = 256 * 1024
_INPUT, _OUTPUT = 0, 1


def join_standard_streams(connection: _socket.socket, pinned: str) -> None:
    """Tell the agent which name the caller's key is pinned to, if any; then copy both ways until either side ends.

    It is told first: nothing that the caller sends can be taken for that.
    """
    connection.sendall(b"AMP1%c%b" % (len(pinned), pinned.encode()))
    threading.Thread(target=_copy_in, args=(connection,), daemon=True).start()
    _copy(connection.fileno(), _OUTPUT)


def _copy_in(connection: _socket.socket) -> None:
    _copy(_INPUT, connection.fileno())
    # The agent then ends its side, and with that the other direction ends too.
    connection.shutdown(_socket.SHUT_WR)


def _copy(source: int, target: int) -> None:
    buffer = memoryview(bytearray(READ_SIZE))  # one for all: to get such a piece of memory costs more than to fill it
    try:
        while length := os.readv(source, [buffer]):
            data = buffer[:length]
            while data:
                data = data[os.write(target, data) :]
    except OSError:
        return  # the other side has ended; so do we
