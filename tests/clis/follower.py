"""A model that does what it is told: it reads what was dropped for it, and runs the commands that a brief names. Pure.

It has no memory of its own. What is to be done follows from all that it was told, what was done from its own calls.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

FLAW = "FLAW"
"""A word in a diff that this model doesn't pass, and mends when it is told to."""
MENDED = "merit"


class Deed(NamedTuple):
    """A command that the model wants to run."""

    command: str
    sign: str
    """Stands in every command that does the same, and in no other."""


def next_command(told: Iterable[str], called: Iterable[str]) -> str:
    """Return the first command that is still to be run; empty when all is done.

    >>> next_command(["Claim it: agentmesh job claim hub-1"], [])
    'agentmesh job claim hub-1'
    """
    done = list(called)
    return next((deed.command for deed in _deeds(list(told)) if not any(deed.sign in each for each in done)), "")


def _deeds(told: list[str]) -> Iterator[Deed]:
    diffs = [text for text in told if re.search(r"(?m)^\+.*(" + FLAW + "|" + MENDED + ")", text)]
    for text in told:
        for command in re.findall(r"(?m)please-run: (.+)$", text):
            yield Deed(command, command)
        for path in re.findall(r"file dropped at (\S+) \(", text):
            yield Deed(f"cat {path}", path)
        for command in re.findall(r"(?m)^Claim it: (.+)$", text):
            yield Deed(command, command)
        for command in re.findall(r"(?m)^Report: (agentmesh job event \S+) started \|", text):
            for step in ("started", "progress --percent 50 --message half", "completed --message 'as you asked'"):
                yield Deed(f"{command} {step}", f"{command} {step}")
        for command in re.findall(r"(?m)^Answer: (agentmesh review verdict \S+) pass", text):
            verdict = f"not-pass --feedback 'there is a {FLAW}'" if diffs and FLAW in diffs[-1] else "pass"
            yield Deed(f"{command} {verdict}", command)
        for command in re.findall(r"(?m)^When it is mended: (.+)$", text):
            mend = f"sed -i s/{FLAW}/{MENDED}/ change.diff"
            yield Deed(f"{mend} && {command}", command)
