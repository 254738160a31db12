"""The agent that runs here, seen from outside: what it says of itself, that it listens, how it ends though it hangs."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from agentmesh import __version__
from agentmesh.adapters import ipc
from agentmesh.adapters.files import is_locked, shown_path
from agentmesh.adapters.listener import has_listener
from agentmesh.adapters.process import openers
from agentmesh.build import code_digest
from agentmesh.config import Paths
from agentmesh.core.status import Status
from agentmesh.errors import AgentmeshError, NoAgent

ANSWER_SECONDS = 5.0
"""How long an agent may take to answer; one that hangs is as good as none."""
RESYNC_SECONDS = 15.0
"""The same, before it is ended without having been asked for."""
START_SECONDS = 20.0
"""How long an agent may take until it listens."""
STOP_SECONDS = 15.0
"""How long an agent that was told to stop may take; what is being typed is finished first."""
END_SECONDS = 5.0
"""How long the system may take to end a process that is killed."""
_LOOK_SECONDS = 0.05


class Silent(msgspec.Struct, frozen=True):
    """There is something at the socket, but no status comes from it."""

    reason: str


async def ask_status(paths: Paths) -> Status | Silent | None:
    """Return what the agent says of itself; None when none runs."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return msgspec.json.decode(await ipc.ask(paths.socket, "status"), type=Status)
    except NoAgent:
        return None
    except TimeoutError:
        return Silent(f"it has not answered for {ANSWER_SECONDS:g} s")
    except msgspec.ValidationError:
        return Silent("it is of another version")
    except (AgentmeshError, OSError) as error:
        return Silent(str(error))


def difference(answer: Status) -> str:
    """Return in what the agent that runs differs from this installation; empty when it is of the same code.

    An installation can have changed though its version has not: a wheel built again, a checkout that is edited.
    """
    if answer.version != __version__:
        return f"version {answer.version} runs, this command is of {__version__}"
    if answer.code != code_digest():
        return f"other code of version {answer.version} runs than is installed now"
    return ""


def is_current(answer: Status | Silent | None) -> bool:
    """Tell whether an agent runs, answers, and is of this very code."""
    return isinstance(answer, Status) and not difference(answer)


def wait_until_it_listens(paths: Paths, has_ended: Callable[[], bool] = lambda: False) -> bool:
    """Wait for an agent that is being started; False when it has ended, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not has_listener(paths.socket):
        if has_ended() or time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


async def resync(paths: Paths) -> None:
    """Have the agent look at everything again. One that doesn't answer is ended, so that it can be started anew.

    Raises AgentmeshError when no agent runs afterwards.
    """
    try:
        async with asyncio.timeout(RESYNC_SECONDS):
            await _sync(paths)
    except ipc.Refused:
        pass  # it answers; its log says what is wrong
    except OSError as error:  # a TimeoutError is one
        await _kill(paths)
        reason = f"the agent had not answered for {RESYNC_SECONDS:g} s, and was ended"
        raise AgentmeshError(reason=reason) from error


async def _sync(paths: Paths) -> None:
    """Have the agent look again, as soon as it listens; one that starts just now holds its lock already."""
    while True:
        try:
            await ipc.ask(paths.socket, "sync")
        except NoAgent:
            if not is_locked(paths.lock):
                raise
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return


async def stop(paths: Paths) -> bool:
    """End the agent, and return when it has ended: True, or False when none ran. One that hangs is killed.

    Nothing is lost by that: what was accepted is on the disk. Raises AgentmeshError.
    """
    if not is_locked(paths.lock):
        return False
    with suppress(AgentmeshError, OSError):
        async with asyncio.timeout(ANSWER_SECONDS):
            await ipc.ask(paths.socket, "stop")
        if await _ended(paths, STOP_SECONDS):
            return True
    await _kill(paths)
    return True


async def _kill(paths: Paths) -> None:
    """End the process that holds the agent's lock. Raises AgentmeshError when it isn't known for sure which that is."""
    holders = openers(paths.lock)
    if not is_locked(paths.lock):
        return
    if len(holders) != 1:
        seen = "can't be seen from here" if not holders else f"may be any of {', '.join(map(str, holders))}"
        reason = f"the agent doesn't answer, and its process {seen}; end it (see `fuser {shown_path(paths.lock)}`)"
        raise AgentmeshError(reason=reason)
    with suppress(ProcessLookupError):
        os.kill(holders[0], signal.SIGKILL)
    if not await _ended(paths, END_SECONDS):
        raise AgentmeshError(reason=f"the agent, pid {holders[0]}, doesn't end though it was killed")


async def _ended(paths: Paths, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_locked(paths.lock):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True
