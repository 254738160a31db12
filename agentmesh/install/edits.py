"""Plan an edit of a file that is the user's: what we put there can be taken out again without touching the rest."""

from collections.abc import Callable
from pathlib import Path

from agentmesh.adapters.files import shown_path
from agentmesh.errors import BadConfiguration
from agentmesh.install.block import Marks, muted, unmuted, with_block, without_block
from agentmesh.install.change import Write
from agentmesh.install.manifest import Manifest
from agentmesh.install.system import System

_FORM = "latin-1"
"""Any bytes go through it and back unchanged."""


def plan_edit(
    system: System,
    manifest: Manifest,
    path: Path,
    says: str,
    content: str,
    marks: Marks = Marks.SCRIPT,
    is_replaced: Callable[[str], bool] = lambda _: False,
) -> Write | None:
    """Return the change that puts our block into a file, or nothing when it is there. Raises BadConfiguration.

    Without content, our block is taken out. A link stays one: what it leads to is changed. Lines that are replaced
    become comments.
    """
    path = path.resolve()
    present = _read(path)
    text = "" if present is None else present.decode(_FORM)
    try:
        wanted = muted(text, is_replaced)
        wanted = with_block(wanted, content, marks) if content else without_block(wanted, marks)
    except ValueError as error:
        raise BadConfiguration(path=path, reason=error) from error
    if wanted == text:
        return None
    written = manifest.written(path)
    if written is not None:
        before = written.before if written.content == present else without_ours(present or b"", marks)
        kept = written.kept
    else:
        before = present
        kept = None if before is None else system.paths.home / "backup" / path.name.lstrip(".")
    copy = f" (a copy of yours: {shown_path(kept)})" if kept else ""
    mode = path.stat().st_mode & 0o777 if present is not None else 0o644
    return Write(
        says=f"{says}{copy}",
        path=path,
        content=wanted.encode(_FORM),
        mode=mode,
        before=before,
        kept=kept,
        marks=marks,
    )


def without_ours(content: bytes, marks: Marks) -> bytes:
    """Return a file's content without our block, and with the lines that we put out of use. Raises ValueError."""
    return unmuted(without_block(content.decode(_FORM), marks)).encode(_FORM)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadConfiguration(path=path, reason=error) from error
