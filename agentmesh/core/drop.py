"""Names of dropped files, made harmless, and the lines that announce them. Pure."""

import re
import unicodedata
from collections.abc import Sequence

from agentmesh.core.model import Drop
from agentmesh.core.text import without_controls

LONGEST_NAME = 200
"""Bytes; file systems take 255 (NAME_MAX), and a number may be added."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
"""Separators, control characters, and what breaks a line or turns the direction of what follows."""


def safe_name(text: str) -> str:
    r"""Reduce a name from elsewhere to one harmless path component.

    >>> safe_name("../../etc/passwd"), safe_name(".bashrc"), safe_name("a\nb.txt"), safe_name("..")
    ('etc-passwd', 'bashrc', 'a-b.txt', 'file')
    """
    text = text.encode(errors="replace").decode()  # a file's name need not be UTF-8
    name = _UNSAFE.sub("-", unicodedata.normalize("NFC", text)).strip()
    name = re.sub(r"^[.\s-]+", "", name)
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending.encode()) < LONGEST_NAME // 4:
        room = LONGEST_NAME - len(ending.encode()) - 1
        name = f"{_cut(stem, room)}.{ending}"
    return _cut(name, LONGEST_NAME).rstrip() or "file"


def numbered(name: str, number: int) -> str:
    """Return the name for the n-th file of one name and different content.

    >>> numbered("diff.patch", 1), numbered("diff.patch", 2), numbered("README", 3)
    ('diff.patch', 'diff (2).patch', 'README (3)')
    """
    if number == 1:
        return name
    stem, dot, ending = name.rpartition(".")
    return f"{stem} ({number}).{ending}" if dot else f"{name} ({number})"


def announcement(path: str, size: int, body: str, *, folder: bool = False) -> str:
    """Return the line that tells a pane of a file, or of a folder that came as a tar archive.

    >>> announcement("~/.agent-inbox/hub-dev-review/diff.patch", 12, "section 3 needs your eyes")
    'file dropped at ~/.agent-inbox/hub-dev-review/diff.patch (12 bytes): section 3 needs your eyes'
    >>> announcement("~/.agent-inbox/hub-dev-review/src.tar", 10240, "", folder=True)
    'file dropped at ~/.agent-inbox/hub-dev-review/src.tar (10240 bytes, tar of a folder)'
    """
    path = without_controls(path).replace("\n", "").replace("\t", "")  # another host says what it is
    measure = f"{size} bytes, tar of a folder" if folder else f"{size} bytes"
    return f"file dropped at {path} ({measure})" + (f": {body}" if body else "")


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def announcements(drops: Sequence[Drop], body: str) -> list[str]:
    """Return a line for each drop; the last one carries the body.

    >>> announcements([Drop(path="/a", size=1, sha256=""), Drop(path="/b", size=2, sha256="")], "look")
    ['file dropped at /a (1 bytes)', 'file dropped at /b (2 bytes): look']
    """
    last = len(drops) - 1
    return [
        announcement(drop.path, drop.size, body if number == last else "", folder=drop.folder)
        for number, drop in enumerate(drops)
    ]
