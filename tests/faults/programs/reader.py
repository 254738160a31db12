"""Read lines and write each to a log file, in one write: what a program in a pane got, whatever kills it."""

import os
import signal
import sys


def main() -> None:
    # A line that was read is written down, also when the terminal goes just then.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    text = b""
    while read := received():
        *lines, text = (text + read).split(b"\n")
        for line in lines:
            os.write(log, line + b"\n")


def received() -> bytes:
    """Return what has come; nothing at the end, also at that of the terminal."""
    try:
        return os.read(0, 65536)
    except OSError:
        return b""


if __name__ == "__main__":
    main()
