"""Append lines to a file, each with the number after that of the last: FILE NAME COUNT."""

import sys
from pathlib import Path

from agentmesh.adapters.ledger import append


def main() -> None:
    """Append them."""
    _, lines, name, count = sys.argv

    def following(last: bytes) -> list[bytes]:
        return [b"%d %s" % (int(last.split()[0]) + 1 if last else 1, name.encode())]

    for _turn in range(int(count)):
        append(Path(lines), following)


if __name__ == "__main__":
    main()
