"""The line that shows how far long work is. Pure."""

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_BAR = 24


def amount(size: float) -> str:
    """Return a number of bytes as a person reads it.

    >>> amount(512), amount(64 * 1024**2)
    ('512 bytes', '64.0 MiB')
    """
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004 (what a KiB is)
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} bytes"


def bar(label: str, done: int, total: int, seconds: float, columns: int) -> str:
    """Return the line for so many bytes done in so many seconds, never wider than the terminal.

    >>> bar("diff.patch", 32 * 1024**2, 64 * 1024**2, 2.0, 80)
    'diff.patch [############            ]  50 % of 64.0 MiB, 16.0 MiB/s'
    >>> bar("diff.patch", 32 * 1024**2, 64 * 1024**2, 2.0, 50)
    'diff.patch  50 % of 64.0 MiB, 16.0 MiB/s'
    """
    share = min(done / total, 1.0) if total else 1.0
    figures = f"{share * 100:3.0f} % of {amount(total)}, {amount(done / seconds if seconds else 0)}/s"
    filled = round(share * _BAR)
    line = f"{label} [{'#' * filled}{' ' * (_BAR - filled)}] {figures}"
    if len(line) >= columns:
        line = f"{label} {figures}"
    if len(line) >= columns:
        line = figures
    return line[: max(columns - 1, 0)]
