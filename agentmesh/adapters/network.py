"""What tells one network that this host is in from another. Nothing is sent."""

import socket
import struct
import sys
from collections.abc import Iterator

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_NAME, _FLAGS = 16, struct.Struct("16xH")  # struct ifreq, netdevice(7)
_FAR_AWAY = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses for documentation (RFC 5737, RFC 3849), towards which the system chooses a way out, as it would for any."""


def network() -> tuple[object, ...]:
    """Return the interfaces (on Linux with whether each is up and has a carrier), and our addresses to the world."""
    return (*_interfaces(), *_own_addresses())


def _interfaces() -> Iterator[tuple[str, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            yield name, _flags(asked, name)


def _flags(asked: socket.socket, name: str) -> int:
    if sys.platform != "linux":
        return 0
    from fcntl import ioctl  # noqa: PLC0415 (other systems have other numbers for what is asked)

    try:
        return int(_FLAGS.unpack_from(ioctl(asked, _SIOCGIFFLAGS, name.encode().ljust(_NAME + 16, b"\0")))[0])
    except OSError:
        return 0  # it has gone since


def _own_addresses() -> Iterator[str]:
    for family, far_away in _FAR_AWAY:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asked:
                asked.connect((far_away, 9))
                yield str(asked.getsockname()[0])
        except OSError:
            yield ""  # no way leads there, or the family isn't spoken here
