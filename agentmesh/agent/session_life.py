"""What this host's commands ask about the life of sessions: who watches, reports, closes, captures and purges."""

import asyncio

import msgspec

from agentmesh.adapters.ipc import Request
from agentmesh.agent.answer import Answer, as_json
from agentmesh.agent.session_book import SessionBook
from agentmesh.agent.session_capture import SessionCapture
from agentmesh.agent.session_close import SessionClose
from agentmesh.agent.session_purge import SessionPurge
from agentmesh.agent.session_watch import SessionWatch
from agentmesh.core.agent_session import AgentSession
from agentmesh.core.session_request import Ending, NewsRequest, Purge
from agentmesh.errors import UsageError


class SessionLife:
    """Hands each question to who answers it."""

    def __init__(
        self,
        book: SessionBook,
        watch: SessionWatch,
        purge: SessionPurge,
        close: SessionClose,
        capture: SessionCapture,
    ) -> None:
        self._book = book
        self._watch = watch
        self._purge = purge
        self._close = close
        self._capture = capture

    async def run(self, request: Request, answer: Answer) -> None:
        """Do what the words after ``session`` ask. Raises AgentmeshError."""
        match request.words[1:]:
            case ["record", name]:
                await answer.write_output(as_json(await self._book.find(name)))
            case ["conversation-files", name]:
                await answer.write_output(as_json(await self._purge.files(name)))
            case ["purge", text]:
                await self._remove(msgspec.json.decode(text, type=Purge), answer)
            case ["ready-to-close"]:
                session = await self._close.take_report(request)
                await answer.write_output(f"{session.name}: ready to close\n")
            case ["close", text]:
                session = await self._close.close(msgspec.json.decode(text, type=Ending))
                await answer.write_output(_closed(session))
            case ["close-worker", job, *overheard]:
                await answer.write_output(_closed(await self._close.close_worker_of(job, "".join(overheard))))
            case ["capture", name, count]:
                await answer.write_output(as_json(await self._capture.snapshot(name, int(count))))
            case ["news", text]:
                gone = asyncio.ensure_future(answer.gone())
                try:
                    news = await self._watch.news(msgspec.json.decode(text, type=NewsRequest), gone)
                finally:
                    gone.cancel()
                await answer.write_output(as_json(news))
            case _:
                reason = "This agent doesn't know that command; is it older?"
                raise UsageError(reason=reason, program="agentmesh session")

    async def _remove(self, wanted: Purge, answer: Answer) -> None:
        removed = await self._purge.remove(wanted)
        if wanted.conversation:
            outcome = f"conversation {wanted.conversation} removed ({len(removed)} files); a resume begins anew"
        else:
            outcome = "no conversation of it is recorded; nothing is removed"
        await answer.write_output(f"{wanted.name}: {outcome}\n")


def _closed(session: AgentSession) -> str:
    conversation = f"; its conversation is {session.conversation}" if session.conversation else ""
    return f"{session.name}: closed by {session.termination_mode}{conversation}\n"
