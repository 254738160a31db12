"""What README.md tells a reader to type: the lines of its code blocks, the words of its recipes."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"

_HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
_RECIPE = re.compile(r"^\d+\. \*\*(?P<title>.+?)\*\*(?P<text>.*(?:\n   .*)*)", re.MULTILINE)


def section(title: str) -> str:
    """Return the text below a heading, up to the next one."""
    parts = _HEADING.split(README.read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def commands(title: str) -> list[str]:
    """Return the commands of the first code block below a heading, without what is said of them."""
    block = re.search(r"(?:^    .+\n)+", section(title), re.MULTILINE)
    assert block, title
    return [line.partition(" # ")[0].strip() for line in block[0].splitlines()]


def recipes() -> dict[str, list[str]]:
    """Return by each recipe's title what stands in it as code, in its order."""
    return {
        found["title"]: re.findall(r"`([^`]+)`", found["text"].replace("\n   ", " "))
        for found in _RECIPE.finditer(section("Recipes"))
    }
