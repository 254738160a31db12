"""Files that others touch: tell when one has changed. watchfiles, with the kernel's own notifications."""

from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import awatch


async def changes(file: Path, folder: Path) -> AsyncIterator[None]:
    """Yield when a file was written, or something in a folder came or went; many changes are one.

    The file's folder and the other must exist; the file need not.
    """
    async for seen in awatch(file.parent, folder, debounce=10, step=10, recursive=False):
        paths = {Path(path) for _, path in seen}
        if file in paths or any(path.parent == folder for path in paths):
            yield
