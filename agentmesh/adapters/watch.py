"""Files that others touch: tell when one has changed. watchfiles, with notifications of the kernel while it has any."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

from watchfiles import Change, awatch

SETTLE_MILLISECONDS = 50
"""How long an edit may take: an editor may empty a file first, then write it."""


async def changes(file: Path, folder: Path) -> AsyncIterator[None]:
    """Yield when a file was written, or something in a folder came or went; many changes are one.

    The file's folder and the other must exist; the file need not.
    """
    async for seen in _changes_in({file.parent, folder}, settle=10):
        paths = {Path(path) for _, path in seen}
        if file in paths or any(path.parent == folder for path in paths):
            yield


async def edits(files: Collection[Path]) -> AsyncIterator[set[Path]]:
    """Yield which of these files have changed, whatever way they are written; many changes are one.

    Neither the files nor their folders must exist; a file may be a link. What else happens beside them wakes nobody.
    """
    while True:
        places = _places(files)
        folders = {_nearest_folder(place.parent) for place in places}
        telling = {str(path) for place in places for path in (place, *place.parents)}
        with suppress(FileNotFoundError):  # a folder has gone just now
            async for seen in _changes_in(folders, settle=SETTLE_MILLISECONDS, counts=partial(_is_among, telling)):
                if changed := {places[Path(path)] for _, path in seen if Path(path) in places}:
                    yield changed
                if _places(files) != places or {_nearest_folder(place.parent) for place in places} != folders:
                    break
        yield set(files)  # a folder has come or gone, or a link leads elsewhere


async def _changes_in(
    folders: Collection[Path], *, settle: int, counts: Callable[[Change, str], bool] | None = None
) -> AsyncIterator[set[tuple[Change, str]]]:
    """Yield what has changed right in some folders; ``settle``: milliseconds within which many changes are one.

    Where the kernel gives a user no more watches (inotify(7), max_user_instances), they are looked at again and again.
    """
    watch = partial(awatch, *folders, watch_filter=counts, debounce=settle, step=settle, recursive=False)
    try:
        async for seen in watch():
            yield seen
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError):  # watchfiles passes on what its Rust part says, as either
        async for seen in watch(force_polling=True):
            yield seen


def _is_among(paths: Collection[str], _: Change, path: str) -> bool:
    return path in paths


def _places(files: Collection[Path]) -> dict[Path, Path]:
    """Return where each file is written: at its path, and where a link leads."""
    return {place: file for file in files for place in (file.resolve(), file)}


def _nearest_folder(folder: Path) -> Path:
    """Return a folder, or where it will come to be."""
    while not folder.is_dir():
        folder = folder.parent
    return folder
