"""A cable between two network interfaces on which every frame takes a while. A program; it ends when its input does.

It stands in for tc-netem(8), which many kernels are built without.
"""

import errno
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

# From linux/if_packet.h; Python has no names for them. With the header of virtio_net before each frame, large segments
# and unfinished checksums cross the cable as they are.
_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_ETH_P_ALL = 3
_LONGEST = 1 << 17


def plug(interface: str) -> socket.socket:
    """Return an end of the cable, which receives what reaches the interface and sends through it."""
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    end.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    end.bind((interface, _ETH_P_ALL))
    return end


@contextmanager
def lost_if_down() -> Iterator[None]:
    """Lose a frame that finds its interface down, as any cable does."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENETDOWN:
            raise


def carry(one: socket.socket, other: socket.socket, delay: float) -> None:
    """Carry every frame from each end to the other, `delay` seconds late, until standard input ends."""
    far_end = {one: other, other: one}
    under_way: deque[tuple[float, socket.socket, bytes]] = deque()
    while True:
        idle = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        readable = select.select([one, other, sys.stdin], [], [], idle)[0]
        if sys.stdin in readable:
            return
        for end in (one, other):
            if end in readable:
                with lost_if_down():
                    frame = end.recv(_LONGEST)
                    under_way.append((time.monotonic() + delay, far_end[end], frame))
        while under_way and under_way[0][0] <= time.monotonic():
            with lost_if_down():
                _, end, frame = under_way.popleft()
                end.send(frame)


if __name__ == "__main__":
    with plug(sys.argv[1]) as left, plug(sys.argv[2]) as right:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        carry(left, right, float(sys.argv[3]) / 1000)
