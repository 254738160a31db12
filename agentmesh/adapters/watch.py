"""Files that others touch: tell when one has changed.

On Linux the kernel tells, by asyncinotify. Elsewhere, and where a user has no more watches (inotify(7),
max_user_instances), it is watchfiles, which looks for news again and again.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

from watchfiles import Change, awatch

TOUCH_SETTLE_SECONDS = 0.01
"""Within which a hook's many touches are one."""
EDIT_SETTLE_SECONDS = 0.05
"""How long an edit may take: an editor may empty a file first, then write it."""


async def changes(file: Path, folder: Path) -> AsyncIterator[None]:
    """Yield when a file was written, or something in a folder came or went; many changes are one.

    The file's folder and the other must exist; the file need not.
    """
    async for _ in _changes_in(
        {file.parent, folder}, TOUCH_SETTLE_SECONDS, lambda path: path == file or path.parent == folder
    ):
        yield


async def edits(files: Collection[Path]) -> AsyncIterator[set[Path]]:
    """Yield which of these files have changed, whatever way they are written; many changes are one.

    Neither the files nor their folders must exist; a file may be a link. What else happens beside them wakes nobody.
    """
    while True:
        places = _places(files)
        folders = {_nearest_folder(place.parent) for place in places}
        telling = {path for place in places for path in (place, *place.parents)}
        with suppress(FileNotFoundError):  # a folder has gone just now
            async for seen in _changes_in(folders, EDIT_SETTLE_SECONDS, telling.__contains__):
                if changed := {places[path] for path in seen if path in places}:
                    yield changed
                if _places(files) != places or {_nearest_folder(place.parent) for place in places} != folders:
                    break
        yield set(files)  # a folder has come or gone, or a link leads elsewhere


async def _changes_in(
    folders: Collection[Path], settle: float, counts: Callable[[Path], bool]
) -> AsyncIterator[set[Path]]:
    """Yield what has changed right in some folders, as far as it counts; what follows within ``settle`` seconds, too.

    Raises FileNotFoundError where a folder isn't there.
    """
    try:
        async for paths in _told(folders, settle, counts):
            yield paths
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError):  # watchfiles passes on what its Rust part says, as either
        async for paths in _looked_for(folders, settle, counts, force_polling=True):
            yield paths


if sys.platform == "linux":
    from asyncinotify import Inotify, Mask

    _NEWS = Mask.MODIFY | Mask.ATTRIB | Mask.CREATE | Mask.DELETE | Mask.MOVE | Mask.DELETE_SELF | Mask.MOVE_SELF

    async def _told(
        folders: Collection[Path], settle: float, counts: Callable[[Path], bool]
    ) -> AsyncIterator[set[Path]]:
        with Inotify(sync_timeout=0) as kernel:
            for folder in folders:
                kernel.add_watch(folder, _NEWS | Mask.ONLYDIR)
            while True:
                seen = {(await kernel.get()).path}
                await asyncio.sleep(settle)
                while event := kernel.sync_get():
                    seen.add(event.path)
                if paths := {path for path in seen if path and counts(path)}:
                    yield paths

else:

    def _told(folders: Collection[Path], settle: float, counts: Callable[[Path], bool]) -> AsyncIterator[set[Path]]:
        return _looked_for(folders, settle, counts)


async def _looked_for(
    folders: Collection[Path], settle: float, counts: Callable[[Path], bool], *, force_polling: bool | None = None
) -> AsyncIterator[set[Path]]:
    step = round(settle * 1000)
    only = partial(_counted, counts)
    async for seen in awatch(
        *folders, watch_filter=only, debounce=step, step=step, recursive=False, force_polling=force_polling
    ):
        yield {Path(path) for _, path in seen}


def _counted(counts: Callable[[Path], bool], _: Change, path: str) -> bool:
    return counts(Path(path))


def _places(files: Collection[Path]) -> dict[Path, Path]:
    """Return where each file is written: at its path, and where a link leads."""
    return {place: file for file in files for place in (file.resolve(), file)}


def _nearest_folder(folder: Path) -> Path:
    """Return a folder, or where it will come to be."""
    while not folder.is_dir():
        folder = folder.parent
    return folder
