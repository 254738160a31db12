"""Who speaks: on what terms a conversation begins, how each peer is known, and the end of it when a key is revoked."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from agentmesh import __version__
from agentmesh.adapters.authorized_keys import AuthorizedKeys
from agentmesh.adapters.keys import HostKey, is_right
from agentmesh.agent.log import log
from agentmesh.core.identity import Identity, Pin, Seal, Terms, objection_to_slice
from agentmesh.core.model import HERE, Origin, Slice
from agentmesh.core.session import Session
from agentmesh.core.wire import Hello
from agentmesh.errors import BadConfiguration, LinkRefused


class Conversation:
    """A conversation with a peer, as far as it matters who that is."""

    def __init__(self, terms: Terms, task: "asyncio.Task[object]") -> None:
        """Begin one on terms."""
        self.terms = terms
        self.skew = 0.0
        """How many seconds the peer's clock was ahead of ours when it greeted."""
        self._sessions: list[Session] = []
        self._task = task
        self._cut = ""
        self.ended = asyncio.Event()

    def greet(self, session: Session) -> None:
        """Note who the peer is; over a relay first the relay, then the host behind it."""
        self._sessions.append(session)
        if self.peer and self.peer.time:
            self.skew = self.peer.time - time.time()

    @property
    def peer(self) -> Hello | None:
        """How the peer has introduced itself."""
        return self._sessions[-1].peer if self._sessions else None

    @property
    def origin(self) -> Origin:
        """Who the peer is, and how that is known."""
        return self._sessions[-1].origin if self._sessions else HERE

    def cut(self, reason: str) -> None:
        """End it: what the peer has sent and was not read yet is not read any more."""
        if not self._cut:
            self._cut = reason
            self._task.cancel()

    def objection(self, renewed: Callable[[Terms], Terms]) -> str:
        """Return why it would be refused on its terms as they are now; empty when it would not."""
        if not self._sessions and renewed(self.terms) != self.terms:
            return "it has changed meanwhile which keys speak for whom; call again"
        for session in self._sessions:
            terms = renewed(session.terms)
            if found := msgspec.structs.replace(session, terms=terms).objection:
                return found
            if session.terms.keys - terms.keys:
                return f"a key that was pinned to {terms.pinned} has been revoked"
        return ""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it be cut in this block, which then raises LinkRefused."""
        try:
            yield
        except asyncio.CancelledError:
            if self._cut and not self._task.uncancel():
                raise LinkRefused(reason=self._cut) from None
            raise
        finally:
            self.ended.set()


class Identities:
    """Knows the keys that are pinned here, and the peers that converse."""

    def __init__(self, alias: str, key: HostKey, files: AuthorizedKeys, *, require_pinned: bool) -> None:
        self._alias = alias
        self.key = key
        self.files = files
        self._require_pinned = require_pinned
        self._pins: frozenset[Pin] = frozenset()
        self._conversations: set[Conversation] = set()
        self._pins = self._read()

    @property
    def pins(self) -> frozenset[Pin]:
        """The keys that are pinned to names, as they are in force."""
        return self._pins

    @contextmanager
    def conversation(self, pinned: str = "") -> Iterator[Conversation]:
        """Hold a conversation, with a caller whose key is pinned to a name if that isn't empty.

        Raises LinkRefused when its key is revoked meanwhile.
        """
        pins = self._read()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a conversation is held by a task")
        conversation = Conversation(self._terms(pinned, _keys_of(pinned, pins), pins), task)
        self._conversations.add(conversation)
        try:
            with conversation.held():
                yield conversation
        finally:
            self._conversations.discard(conversation)

    def with_host(self, host: str) -> list[Conversation]:
        """Return the conversations with a host, the best known first."""
        order = [str(identity) for identity in Identity]
        found = [conversation for conversation in self._conversations if conversation.origin.host == host]
        return sorted(found, key=lambda conversation: order.index(conversation.origin.identity))

    @property
    def hosts(self) -> set[str]:
        """The hosts that there are conversations with."""
        return {conversation.origin.host for conversation in self._conversations} - {""}

    def terms(self) -> Terms:
        """Return on which terms a conversation begins that this host begins."""
        return self._terms("", frozenset(), self._read())

    def terms_over_relay(self, host: str, key: str) -> Terms:
        """Return on which terms a conversation is held over another host, at whose end a key was proven.

        The host that it is to be with counts, should the key be pinned to several.
        """
        pins = self._read()
        names = sorted(pin.name for pin in pins if pin.key == key)
        pinned = host if host in names else next(iter(names), "")
        return self._terms(pinned, frozenset({key} if pinned else ()), pins)

    def check(self, conversation: Conversation) -> None:
        """Raise LinkRefused when a conversation would be refused by now: pins may have changed since its terms."""
        if reason := self._objection(conversation, self._read()):
            raise LinkRefused(reason=reason)

    async def refresh(self) -> frozenset[str]:
        """Read the pins again, and end what would be refused now; returns the hosts whose pins have changed."""
        before, self._pins = self._pins, self._read()
        changed = frozenset(pin.name for pin in before ^ self._pins)
        for host in sorted(changed):
            log.info("pins have changed", host=host, keys=len(_keys_of(host, self._pins)))
        cut = []
        for conversation in self._conversations:
            if reason := self._objection(conversation, self._pins):
                conversation.cut(reason)
                cut.append(conversation)
        for conversation in cut:
            await conversation.ended.wait()
        return changed

    async def cut(self, host: str, reason: str) -> None:
        """End every conversation with a host."""
        for conversation in self.with_host(host):
            conversation.cut(reason)
            await conversation.ended.wait()

    def hello(self, channel: str) -> Hello:
        """Return how this host introduces itself in a conversation."""
        return Hello(host=self._alias, version=__version__, channel=channel, key=self.key.public, time=time.time())

    def seal(self, text: bytes) -> Seal:
        """Sign this host's slice."""
        return self.key.seal(text)

    def signer(self, seal: Seal) -> str | None:
        """Return the key that a slice was signed with, empty for none; None when the signature is wrong."""
        if not seal.signature:
            return ""
        return seal.key if is_right(seal) else None

    def objection_to(self, part: Slice, teller: Origin, seal: Seal) -> str:
        """Return why a slice of another host is not taken; empty when it is."""
        signer = self.signer(seal)
        if signer is None:
            return "its signature is wrong"
        keys = _keys_of(part.host, self._pins)
        return objection_to_slice(part, teller, signer, keys, require_pinned=self._require_pinned)

    def _objection(self, conversation: Conversation, pins: frozenset[Pin]) -> str:
        return conversation.objection(
            lambda terms: self._terms(terms.pinned, terms.keys & _keys_of(terms.pinned, pins), pins)
        )

    def _terms(self, pinned: str, keys: frozenset[str], pins: frozenset[Pin]) -> Terms:
        names = frozenset(pin.name for pin in pins)
        return Terms(pinned=pinned, keys=keys, names=names, require_pinned=self._require_pinned)

    def _read(self) -> frozenset[Pin]:
        try:
            return self.files.pins()
        except BadConfiguration as error:
            log.error("the pinned keys can't be read; those known before stand", reason=error)
            return self._pins


def _keys_of(host: str, pins: frozenset[Pin]) -> frozenset[str]:
    return frozenset(pin.key for pin in pins if pin.name == host)
