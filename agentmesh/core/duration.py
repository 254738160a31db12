"""Lengths of time as people write them. Pure."""

import re

from agentmesh.errors import UsageError

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
LONGEST = 366 * _UNITS["d"]
"""Seconds."""
_DURATION = re.compile(r"(\d{1,9}(?:\.\d+)?)([smhd]?)")


def parse_duration(text: str, program: str) -> int:
    """Return the seconds, at least one, that a text means. Raises UsageError.

    >>> parse_duration("90", ""), parse_duration("1.5m", ""), parse_duration("24h", "")
    (90, 90, 86400)
    """
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None or not float(found[1]):
        raise UsageError(reason=f"{text!r} is no length of time; write 30, 30s, 5m, 2h or 1d.", program=program)
    seconds = round(float(found[1]) * _UNITS[found[2]])
    if seconds > LONGEST:
        raise UsageError(reason=f"{text!r} is too long; the most is {LONGEST // _UNITS['d']}d.", program=program)
    return max(1, seconds)
