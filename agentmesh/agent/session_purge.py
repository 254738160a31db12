"""Remove the conversation of a session that has ended, once it was shown which files hold it."""

import asyncio

import msgspec

from agentmesh.adapters import purge
from agentmesh.agent.log import log
from agentmesh.agent.session_book import SessionBook, now
from agentmesh.agent.session_eyes import SessionEyes
from agentmesh.core.agent_session import AgentSession, is_resumable
from agentmesh.core.session_request import Purge
from agentmesh.errors import PurgeRefused, SessionState


class SessionPurge:
    """Removes only files that the profile names, that say themselves whose they are, and that were shown."""

    def __init__(self, book: SessionBook, eyes: SessionEyes) -> None:
        self._book = book
        self._eyes = eyes

    async def files(self, name: str) -> Purge:
        """Return which files hold a session's conversation. Raises UnknownSession, SessionState."""
        session = await self._ended(name)
        return Purge(name=name, conversation=session.conversation, paths=tuple(await self._files(session)))

    async def remove(self, wanted: Purge) -> list[str]:
        """Remove those files, and let the session begin anew when it is brought back; return what was removed.

        Raises UnknownSession, SessionState, PurgeRefused.
        """
        with self._book.at_work(wanted.name):
            session = await self._ended(wanted.name)
            if session.conversation != wanted.conversation:
                raise PurgeRefused(reason=f"the conversation of {wanted.name} is another one by now")
            if not session.conversation:
                return []
            paths = await self._files(session)
            if set(paths) - set(wanted.paths):
                raise PurgeRefused(reason="more files hold it than were shown; try again")
            _, words = self._eyes.profile(session.program)
            try:
                for path in paths:
                    await asyncio.to_thread(purge.remove, words, session.cwd, path)
            except OSError as error:
                raise PurgeRefused(reason=f"{error}; what is left of it can be removed by the same command") from error
            log.info("conversation removed", session=session.name, files=len(paths))
            facts = {"conversation": "", "missed": "", "purged": session.conversation, "acted": now(), "updated": now()}
            await self._book.change(session.name, lambda one: msgspec.structs.replace(one, **facts))
            return paths

    async def _ended(self, name: str) -> AgentSession:
        session = await self._book.find(name)
        if not is_resumable(session):
            remedy = f"Stop it with `agentmesh session stop {name} --purge`"
            raise SessionState(name=name, status=session.status, remedy=remedy)
        return session

    async def _files(self, session: AgentSession) -> list[str]:
        _, words = self._eyes.profile(session.program)
        if not session.conversation or not words.conversations:
            return []
        return await asyncio.to_thread(purge.files_of, words, session.conversation, session.cwd)
