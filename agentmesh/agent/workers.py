"""The programs of this host that have claimed a job: when one ends before its job does, that is said.

An agent program that is known claims by a shell that it starts: the program itself is the worker. Otherwise the worker
is what was started in the pane: a script that claims; or, where that has ended with the command, the pane's own
process, as when a person types the claim at a prompt.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from agentmesh.adapters import process
from agentmesh.adapters.ipc import Request
from agentmesh.agent.directory import Caller
from agentmesh.agent.log import log
from agentmesh.agent.scanner import Scanner
from agentmesh.agent.tasks import Tasks
from agentmesh.errors import AgentmeshError, BadEvent
from agentmesh.store import workers
from agentmesh.store.database import Database
from agentmesh.store.workers import Working

LOOK_SECONDS = 1.0
"""How often it is looked whether they live."""
LINGER_SECONDS = 1.0
"""How long after the command what only wraps it may still run."""

OnLoss = Callable[[Working, str], Awaitable[None]]
"""Says that a job's worker has ended, and why that is known."""


class Workers:
    """Remembers which program works on which job, over restarts of the agent."""

    def __init__(self, database: Database, scanner: Scanner, tasks: Tasks) -> None:
        self._database = database
        self._scanner = scanner
        self._tasks = tasks
        self._working: dict[str, Working] = {}

    async def recover(self) -> None:
        """Remember those of an earlier run."""
        self._working = {working.job: working for working in await self._database.write(workers.listed)}

    async def note(self, job: str, caller: Caller, request: Request) -> None:
        """Remember the program by which a job was claimed or reported on, unless that is remembered, and lives."""
        known = self._working.get(job)
        if caller.pane is None or (known and known.sender == caller.name and _lives(known)):
            return
        line = []
        for pid in process.ancestors(request.pid):
            line.append(pid)
            if pid == caller.pane.pid:
                break
        for pid in line[1:]:
            found = process.read_process(pid)
            if found and (program := self._scanner.program_of(found)):
                await self._keep(job, caller.name, pid, program)
                return
        await self._keep(job, caller.name, caller.pane.pid)
        if len(line) > 2:  # noqa: PLR2004 (the command itself, what wraps it, and the pane's process)
            self._tasks.start_supervised(f"who works on {job}", self._prefer(job, caller.name, request.pid, line[-2]))

    async def forget(self, job: str, sender: str) -> None:
        """Forget who works on a job: it has ended, or is another's."""
        known = self._working.get(job)
        if known and known.sender == sender:
            del self._working[job]
            await self._database.write(workers.forget, job, sender)

    def jobs_of(self, addresses: Collection[str]) -> list[str]:
        """Return the jobs that a worker with one of these addresses has claimed and not ended."""
        return [each.job for each in self._working.values() if each.sender.partition(" ")[0] in addresses]

    def worker_of(self, job: str) -> str:
        """Return who of this host has claimed a job, and not ended it; empty for nobody."""
        known = self._working.get(job)
        return known.sender if known else ""

    async def keep_watching(self, on_loss: OnLoss) -> None:
        """Look again and again whether they live; of one that has ended its job's home is told, once."""
        while True:
            for working in [each for each in self._working.values() if not _lives(each)]:
                try:
                    await on_loss(working, f"its program ({working.program}) has ended")
                except BadEvent as error:
                    log.info("event not made", job=working.job, reason=error)  # the job has ended, or is another's
                except AgentmeshError as error:
                    log.warning("a lost worker can't be told of yet", job=working.job, reason=error)
                    continue
                await self.forget(working.job, working.sender)
            await asyncio.sleep(LOOK_SECONDS)

    async def _prefer(self, job: str, sender: str, command: int, pid: int) -> None:
        """Take what was started in the pane for the worker, if it goes on when the command has ended."""
        began = process.started(pid)
        await process.until_ended(command)
        await asyncio.sleep(LINGER_SECONDS)
        known = self._working.get(job)
        if began and process.started(pid) == began and known and known.sender == sender:
            await self._keep(job, sender, pid)

    async def _keep(self, job: str, sender: str, pid: int, program: str = "") -> None:
        found = process.read_process(pid)
        if found is None:
            return
        working = Working(
            job=job, sender=sender, pid=pid, started=process.started(pid), program=program or process.names(found)[0]
        )
        self._working[job] = working
        await self._database.write(workers.keep, working)


def _lives(working: Working) -> bool:
    return process.started(working.pid) == working.started
