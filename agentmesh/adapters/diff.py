"""A diff, by the file or the range of commits that names it: the same content as long as what it names is the same."""

import os
import subprocess
from pathlib import Path

from agentmesh.errors import BadDiff

_WITHOUT_TASTE = (
    *("-c", "core.quotePath=true", "-c", "diff.suppressBlankEmpty=false", "-c", "diff.relative=false"),
    *("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--full-index", "--binary", "--no-renames"),
    *("--unified=3", "--inter-hunk-context=0", "--diff-algorithm=myers", "--indent-heuristic", "-O/dev/null"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--ignore-submodules=none", "--submodule=short"),
)
"""Whatever a user's configuration says of diffs (git-config(1)), and with every byte of every file."""
_PLACE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""What git tells its hooks of the repository that they run in."""


def read_diff(named: str, folder: Path) -> bytes:
    """Return the content of a file, or what git says of a range of commits there. Raises BadDiff, also when empty."""
    path = folder / named
    try:
        data = path.read_bytes() if path.is_file() else _git(named, folder)
    except OSError as error:
        raise BadDiff(diff=named, folder=folder, reason=error.strerror or error) from error
    if not data.strip():
        raise BadDiff(diff=named, folder=folder, reason="it is empty")
    return data


def _git(named: str, folder: Path) -> bytes:
    if named.startswith("-"):
        raise BadDiff(diff=named, folder=folder, reason="no commits are called so")
    is_here = folder.resolve() == Path.cwd().resolve()
    environment = {name: value for name, value in os.environ.items() if is_here or name not in _PLACE}
    command = ("git", "-C", folder, *_WITHOUT_TASTE, named, "--")
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BadDiff(diff=named, folder=folder, reason=f"git says: {said[0] if said else done.returncode}")
    return done.stdout
