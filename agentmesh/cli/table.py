"""Where tables for people go."""

import sys

from rich.console import Console

PIPE_WIDTH = 200
"""Columns, where nobody's terminal sets a limit."""


def console() -> Console:
    """Return a console on standard output; colour and the terminal's width only where there is a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
