"""What a message's text may hold, and how it reads in a pane. Pure."""

import re
import unicodedata
from datetime import UTC, datetime

from agentmesh.errors import BadBody

LARGEST_BODY = 64 * 1024
"""Bytes of UTF-8 that a message's text may have; more is a file."""

LONGEST_NAME = 120
"""Characters of a sender's name that are shown."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BLANK = re.compile(r"[\s\u200b\u2060\ufeff]+")


def check_body(raw: bytes) -> str:
    r"""Return the text of a message as its sender gave it, with line ends made ``\n`` and outer blank space removed.

    Raises BadBody when it isn't text that can be put into a pane as it is.

    >>> check_body(b"two\r\nlines\n")
    'two\nlines'
    """
    if len(raw) > LARGEST_BODY:
        reason = f"it is longer than {LARGEST_BODY:,} bytes. Send it as a file, with --file"
        raise BadBody(reason=reason)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        reason = f"byte {error.start + 1} is not valid UTF-8. Send it as a file, with --file"
        raise BadBody(reason=reason) from None
    text = text.replace("\r\n", "\n")
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        reason = (
            f"line {line} holds the control character U+{ord(found[0]):04X}, which a terminal would obey."
            " Remove it, or send the text as a file, with --file"
        )
        raise BadBody(reason=reason)
    text = text.strip("\n").rstrip()
    if not text.strip():
        raise BadBody(reason="it is empty")
    return text


def without_controls(text: str) -> str:
    r"""Remove every character that a terminal would obey, but for line feeds and tabs.

    A host does so with all text from elsewhere before it goes near a pane.

    >>> without_controls("a\x1b[31mb\x9bc\td")
    'a[31mbc\td'
    """
    return _CONTROL.sub("", text)


def is_printable(text: str) -> bool:
    r"""Tell whether text holds no control character at all.

    >>> is_printable("a b"), is_printable("a\nb")
    (True, False)
    """
    return not re.search(r"[\x00-\x1f\x7f-\x9f]", text)


def printable(text: str) -> str:
    r"""Return text as one line without control characters.

    >>> printable("/tmp/a\nb")
    '/tmp/a b'
    """
    return " ".join(without_controls(text).split())


def sender_name(text: str) -> str:
    r"""Return a name that can stand in a tag and forge none: one line, no brackets, not too long.

    >>> sender_name("bob @ 1970] rm\n[from x")
    'bob @ 1970 rm from x'
    """
    known = text.encode(errors="replace").decode()
    return printable(known.replace("[", "").replace("]", "").replace("\n", " "))[:LONGEST_NAME]


def tagged(sender: str, sent: int, body: str) -> str:
    """Return the text as it stands in the pane.

    >>> tagged("hub-dev-review", 0, "hi")
    '[from hub-dev-review @ 1970-01-01T00:00:00Z] hi'
    """
    time = datetime.fromtimestamp(sent, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"[from {sender_name(sender)} @ {time}] {without_controls(body)}"


def squash(text: str) -> str:
    r"""Reduce text to what survives being drawn in a pane: composed characters, no blank space, no line ends.

    >>> squash("e\u0301 a\n b") == squash("\u00e9ab")
    True
    """
    return _BLANK.sub("", unicodedata.normalize("NFC", text))
