"""Remove the files of one conversation: what a profile's pattern names, and what they say themselves, must agree.

No link below the pattern's own folder is followed, so nothing outside of it can be met; and no folder is removed.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentmesh.adapters.conversations import Conversations
from agentmesh.core.conversation import pattern_for
from agentmesh.core.model import SessionProfile


def files_of(profile: SessionProfile, conversation: str, folder: str) -> list[str]:
    """Return the plain files that hold this conversation of this folder, and no other."""
    # Read anew: what was known of a file may not be so any more.
    found = Conversations().find(profile, folder)
    several = {path for path, count in Counter(one.path for one in found).items() if count > 1}
    top = fixed_folder(pattern_for(profile.conversations, folder))
    return sorted(
        one.path
        for one in found
        if (one.id, one.folder) == (conversation, folder) and one.path not in several and _is_plain(top, one.path)
    )


def remove(profile: SessionProfile, folder: str, path: str) -> None:
    """Remove one of these files. Raises OSError."""
    top = fixed_folder(pattern_for(profile.conversations, folder))
    with _folder_of(top, path) as (descriptor, name):
        if not stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
            raise OSError(f"{path} is no plain file")
        os.unlink(name, dir_fd=descriptor)
        os.fsync(descriptor)


def fixed_folder(pattern: str) -> Path:
    """Return the folder that a pattern's files are below: its parts before the first that may vary.

    >>> fixed_folder("/home/me/.claude/projects/{folder}/*.jsonl")
    PosixPath('/home/me/.claude/projects')
    """
    parts: list[str] = []
    for part in Path(pattern).expanduser().parts[:-1]:
        if re.search(r"[*?\[{]", part):
            break
        parts.append(part)
    return Path(*parts)


def _is_plain(top: Path, path: str) -> bool:
    with suppress(OSError, ValueError), _folder_of(top, path) as (descriptor, name):
        return stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
    return False


@contextmanager
def _folder_of(top: Path, path: str) -> Iterator[tuple[int, str]]:
    """Open the folder that a file is in, from the top folder down without links. Raises OSError, ValueError."""
    *folders, name = Path(path).relative_to(top).parts
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            if folder == "..":
                raise ValueError(f"{path} leaves {top}")
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor, name
    finally:
        os.close(descriptor)
