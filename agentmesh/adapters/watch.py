"""Files that others touch: tell when one has changed. watchfiles, with the kernel's own notifications."""

from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import awatch


async def changes(*files: Path) -> AsyncIterator[set[Path]]:
    """Yield the watched files that changed, many changes as one. Their folders must exist; the files need not."""
    wanted = set(files)
    async for seen in awatch(*{file.parent for file in files}, debounce=10, step=1, recursive=False):
        if changed := wanted & {Path(path) for _, path in seen}:
            yield changed
