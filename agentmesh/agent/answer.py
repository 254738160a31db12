"""The way back to a command of this host."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from agentmesh.core.outcome import JSON


class Answer(Protocol):
    """The command's standard streams, wherever they are."""

    async def write_output(self, text: str) -> None:
        """Write to the command's standard output."""

    async def write_error(self, text: str) -> None:
        """Write to the command's standard error."""

    async def read_input(self, largest: int) -> bytes:
        """Return the command's standard input, or its first ``largest`` bytes and one more."""

    async def gone(self) -> None:
        """Wait until the command has ended, or was interrupted."""


def without_json(words: Sequence[str]) -> tuple[list[str], bool]:
    """Return a command's words without ``--json``, and whether that was among them.

    >>> without_json(["ping", "worker-1", "--json"])
    (['ping', 'worker-1'], True)
    """
    return [word for word in words if word != JSON], JSON in words


def as_json(value: object) -> str:
    r"""Return a value as a line of JSON.

    >>> as_json({"a": 1})
    '{"a":1}\n'
    """
    return msgspec.json.encode(value).decode() + "\n"
