"""How a command asks the agent: one question, and its answer as a value."""

import asyncio
import sys
from collections.abc import Callable
from typing import TypeVar

import msgspec

from agentmesh.adapters import ipc
from agentmesh.config import Paths
from agentmesh.core.outcome import JSON

T = TypeVar("T")


def ask(*words: str) -> bytes:
    """Return what the agent puts out for a command. Raises NoAgent, and whatever the agent refuses with."""
    return asyncio.run(ipc.ask(Paths.from_environment().socket, *words))


def ask_for(kind: type[T], *words: str) -> T:
    """Return the agent's answer as a value."""
    return msgspec.json.decode(ask(*words), type=kind)


def listen(take: Callable[[bytes], object], *words: str) -> None:
    """Hand over each part of what the agent puts out for a command as it comes. Raises what `ask` does."""
    asyncio.run(ipc.ask(Paths.from_environment().socket, *words, take=take))


def do(*words: str, json: bool) -> int:
    """Have the agent do a command, and show what it says; returns the exit code. Raises NoAgent."""
    asked = (*words, JSON) if json else words
    code, output, error = asyncio.run(ipc.perform(Paths.from_environment().socket, *asked))
    sys.stdout.write(output.decode())
    sys.stderr.write(error.decode())
    return code
