"""What is drawn for people, by rich; it is loaded only when something is drawn, as it takes as long as all of ours."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 200
"""Columns, where nobody's terminal sets a limit."""


def console() -> "Console":
    """Return a console on standard output; colour and the terminal's width only where there is a terminal."""
    from rich.console import Console  # noqa: PLC0415 (as the module says)

    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def table(*columns: str) -> "Table":
    """Return a table without lines."""
    from rich.table import Table  # noqa: PLC0415 (as above)

    return Table(*columns, box=None, pad_edge=False)


def escape(text: str) -> str:
    """Return text in which nothing is markup."""
    from rich import markup  # noqa: PLC0415 (as above)

    return markup.escape(text)
