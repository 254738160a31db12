"""Submit a job: it is on the disk before its brief is sent, and says what became of that."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from agentmesh.adapters.ipc import Request
from agentmesh.agent.answer import Answer
from agentmesh.agent.directory import Directory
from agentmesh.agent.jobs import Jobs
from agentmesh.core.delivery import exit_code
from agentmesh.core.errand import Submission
from agentmesh.core.job import Job, brief_text
from agentmesh.core.model import Receipt
from agentmesh.core.text import check_body, printable, without_controls
from agentmesh.errors import AgentmeshError, BadFile

BRIEF_PATIENCE = "24h"
"""How long a brief may wait for its pane."""

Send = Callable[[Request, Answer], Awaitable[int]]
"""Runs notify-pane."""


class Submitting:
    """Registers jobs of this host's commands, and has their briefs sent."""

    def __init__(self, jobs: Jobs, directory: Directory, send: Send) -> None:
        self._jobs = jobs
        self._directory = directory
        self._send = send

    async def submit(self, wanted: Submission, request: Request, answer: Answer) -> int:
        """Register a job, tell its id, and send its brief; the exit code is that of sending it.

        Raises AgentmeshError when there is nobody to be told, or nothing to tell: then there is no job either.
        """
        caller = await self._directory.caller(request)
        matches = await self._directory.find(wanted.to, caller)
        files = tuple(str(request.folder / path) for path in wanted.files)
        for path in files:
            if not await asyncio.to_thread(Path(path).exists):
                raise BadFile(path=path, reason="there is no such file")
        now = int(time.time())
        draft = Job(
            id=self._jobs.new_id(),
            home=self._jobs.alias,
            submitter=caller.name,
            to=wanted.to,
            hosts=tuple(sorted({match.pane.host for match in matches})),
            title=printable(wanted.title),
            brief=check_body(wanted.brief.encode(errors="surrogateescape")),
            created=now,
            expires=now + wanted.seconds if wanted.seconds else 0,
            files=files,
            retry_of=wanted.retry_of,
        )
        check_body(brief_text(draft).encode())
        broker = wanted.broker or (await self._jobs.broker_of(wanted.retry_of) if wanted.retry_of else None)
        job = await self._jobs.register(
            draft, is_signed=wanted.is_signed, identifier=draft.id, awaits_brief=True, broker=broker
        )
        await answer.write_output(f"{job.id}\n")
        to = ",".join(match.pane.address for match in matches)
        words = [word for path in files for word in ("--file", path)]
        words = ["notify-pane", "--queue", "--expires", BRIEF_PATIENCE, "--json", *words, "--", to, brief_text(job)]
        told = _Receipts(answer)
        try:
            code = await self._send(msgspec.structs.replace(request, words=words), told)
        except AgentmeshError as error:
            await self._jobs.note_briefs(job, [])
            await self._jobs.say_lost(job, f"its brief could not be sent: {error}")
            await answer.write_error(f"job: the job is stored, but its brief could not be sent: {error}\n")
            return error.exit_code
        await self._jobs.note_briefs(job, told.receipts)
        for receipt in told.receipts:
            if exit_code(receipt.state):
                reason = without_controls(f"{receipt.to}: {receipt.state}. {receipt.detail}".strip())
                remedy = f"To try again: agentmesh job cancel {job.id}; agentmesh job retry {job.id}"
                await answer.write_error(f"job: the brief has not reached {reason} The job is stored. {remedy}\n")
        return code


class _Receipts:
    """A command's answer that keeps the receipts for itself, and passes on the complaints."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.receipts: list[Receipt] = []

    async def write_output(self, text: str) -> None:
        """Keep a receipt."""
        self.receipts.append(msgspec.json.decode(text, type=Receipt))

    async def write_error(self, text: str) -> None:
        """Write to the command's standard error."""
        await self._answer.write_error(text)

    async def read_input(self, largest: int) -> bytes:
        """Return the command's standard input."""
        return await self._answer.read_input(largest)

    async def gone(self) -> None:
        """Wait until the command has ended."""
        await self._answer.gone()
