"""The colour by which a role is told from others. Pure."""

from hashlib import sha256

PALETTE = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "cyan")
"""Names that tmux (tmux(1), STYLES) and Claude Code's ``/color`` (2.1.197) know alike. Append no others: their number
gives each role its colour."""


def color_of(role: str) -> str:
    """Return a role's colour: the same on every host, and always.

    >>> color_of("reviewer"), color_of("tester")
    ('green', 'yellow')
    """
    return PALETTE[int.from_bytes(sha256(role.encode()).digest()[:4]) % len(PALETTE)]
