"""Our part of a file that is the user's: a block between two marks, and lines put out of use. Pure; text in, text out.

Text is a file's bytes as Latin-1: whatever they mean, they go back as they came.
"""

import re
from collections.abc import Callable
from enum import Enum

MUTED = "# replaced by agentmesh: "


class Marks(Enum):
    """The lines that our block stands between, by the kind of file."""

    SCRIPT = "# %s"
    MARKDOWN = "<!-- %s -->"

    @property
    def lines(self) -> tuple[str, str]:
        """The line before our block, and the one after it."""
        return self.value % ">>> agentmesh >>>", self.value % "<<< agentmesh <<<"


def with_block(text: str, content: str, marks: Marks) -> str:
    r"""Return the text with our block in it, in its place or at the end. Raises ValueError when one mark is missing.

    >>> with_block("set -g mouse on\n", "source-file x\n", Marks.SCRIPT)
    'set -g mouse on\n# >>> agentmesh >>>\nsource-file x\n# <<< agentmesh <<<\n'
    """
    begin, end = marks.lines
    block = f"{begin}\n{content}{end}\n"
    if found := _find(text, marks):
        return text[: found.start()] + block + text[found.end() :]
    return text + ("\n" if text and not text.endswith("\n") else "") + block


def without_block(text: str, marks: Marks) -> str:
    r"""Return the text without our block. Raises ValueError when one mark is missing.

    >>> without_block("one\n# >>> agentmesh >>>\nours\n# <<< agentmesh <<<\ntwo\n", Marks.SCRIPT)
    'one\ntwo\n'
    """
    found = _find(text, marks)
    return text[: found.start()] + text[found.end() :] if found else text


def muted(text: str, is_replaced: Callable[[str], bool]) -> str:
    r"""Return the text with the lines that we replace made comments; a line that goes on in the next is one with it.

    >>> muted("a\nb \\\n  c\n", lambda line: line.startswith("b"))
    'a\n# replaced by agentmesh: b \\\n# replaced by agentmesh:   c\n'
    """
    lines = re.findall(r"(?:[^\n]*\\\n)*[^\n]*\n|[^\n]+", text)
    return "".join(_mute(line) if not line.startswith("#") and is_replaced(line) else line for line in lines)


def unmuted(text: str) -> str:
    r"""Return the text with those lines as they were.

    >>> unmuted("a\n# replaced by agentmesh: b\n")
    'a\nb\n'
    """
    return re.sub(f"^{re.escape(MUTED)}", "", text, flags=re.MULTILINE)


def _mute(line: str) -> str:
    return re.sub("^(?=.)", MUTED, line, flags=re.MULTILINE)


def _find(text: str, marks: Marks) -> re.Match[str] | None:
    begin, end = (re.escape(mark) for mark in marks.lines)
    found = re.search(f"^{begin}\n(?:.*\n)*?{end}\n?", text, re.MULTILINE)
    if found is None and re.search(f"^(?:{begin}|{end})$", text, re.MULTILINE):
        raise ValueError("only one of the two lines that agentmesh's block stands between is there; remove it")
    return found
