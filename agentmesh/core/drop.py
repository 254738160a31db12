"""Names of dropped files, made harmless, and the line that announces one. Pure."""

import re
import unicodedata

LONGEST_NAME = 200
"""Bytes; file systems take 255 (NAME_MAX), and a number may be added."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]+")


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


def announcement(path: str, size: int, body: str) -> str:
    """Return the line that tells a pane of a file.

    >>> announcement("~/.agent-inbox/hub-dev-review/diff.patch", 12, "section 3 needs your eyes")
    'file dropped at ~/.agent-inbox/hub-dev-review/diff.patch (12 bytes): section 3 needs your eyes'
    """
    return f"file dropped at {path} ({size} bytes)" + (f": {body}" if body else "")


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
