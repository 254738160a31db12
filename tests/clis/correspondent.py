"""A pane with a real CLI that messages are sent to; what the model server was told says what came of each."""

import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from agentmesh.core.model import Receipt
from tests.clis.person import Person
from tests.clis.recipes import HOME, Recipe
from tests.clis.stage import Stage
from tests.eventually import eventually
from tests.screens import recordings

_PATIENCE = 60.0
_TAG = r"\[from \S+ @ \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\] "
_MOVING = re.compile(r"(?m) *\b\d+s\b|^[● ] ")
"""How long a program has been at something, and the bullet that blinks meanwhile: they change by themselves."""
_NUMBERS = itertools.count(1)


class Sent(NamedTuple):
    """A message, and what its sender was told."""

    body: str
    token: str
    """A word of the body that occurs in no other message."""
    code: int
    receipt: Receipt
    seconds: float

    @property
    def is_refused(self) -> bool:
        return self.code == 3

    @property
    def file(self) -> str:
        """The path of the file that the body was sent as; empty when it was typed."""
        return self.receipt.note.partition(" sent as the file ")[2]

    def is_whole(self, text: str) -> bool:
        """Tell whether a text is this message, all of it, and nothing else."""
        size = len(self.body.encode())
        said = f"file dropped at {self.file} ({size} bytes)" if self.file else self.body
        return bool(re.fullmatch(_TAG + re.escape(said) + r"\s*", text))


class Correspondent(Person):
    """Sends to its pane as somebody elsewhere on the host does."""

    def __init__(self, stage: Stage, recipe: Recipe, pane: str) -> None:
        super().__init__(stage, recipe, pane)
        self.is_described = recordings.profile(recipe.name).box is not None
        self.refusals: Counter[str] = Counter()

    def send(self, text: str, *options: str) -> Sent:
        """Send a message now, whatever its pane shows; TOKEN in the text becomes a word of this message alone."""
        token = f"t{next(_NUMBERS):04}x"
        body = text.replace("TOKEN", token).rstrip()
        started = time.monotonic()
        done = self.stage.run("notify-pane", f"solo:{self.pane}", "--json", *options, "-", stdin=body)
        seconds = time.monotonic() - started
        assert done.stdout, done.stderr
        return Sent(body, token, done.returncode, msgspec.json.decode(done.stdout, type=Receipt), seconds)

    def send_when_ready(self, text: str) -> Sent:
        """Send again what is refused, until the program has finished what it was doing."""
        deadline = time.monotonic() + (_PATIENCE if self.is_described else 0)
        while (sent := self.send(text)).is_refused and time.monotonic() < deadline:
            self.refusals[sent.receipt.readiness] += 1
        return sent

    def deliver(self, text: str) -> Sent:
        """Send a message that must arrive: exactly once, whole, as a turn of the user's. Return it."""
        sent = self.send_when_ready(text)
        if not self.is_described:
            assert sent.is_refused, sent
            return sent
        assert sent.code == 0, f"{sent}\n{self.stage.screen(self.pane)}"
        assert sent.receipt.state == "submitted"
        eventually(lambda: self.arrivals(sent), f"the model is told {sent.body[:60]}", self._said_last, _PATIENCE)
        assert self.arrivals(sent) == 1
        if sent.file:
            assert self.stage.outside(sent.file.replace("~", HOME, 1)).read_text() == sent.body
        return sent

    def arrivals(self, sent: Sent) -> int:
        """Return how often a message stands in the newest conversation in which it stands whole."""
        for texts in self._conversations():
            if whole := sum(map(sent.is_whole, texts)):
                return max(whole, sum(text.count(sent.token) for text in texts) if not sent.file else 0)
        return 0

    def mentions(self, sent: Sent) -> int:
        """Return in how many of the user's texts a message stands, in the newest conversation that has any of it."""
        return next(
            (found for texts in self._conversations() if (found := sum(sent.token in text for text in texts))), 0
        )

    def _conversations(self) -> Iterator[list[str]]:
        """Yield the user's texts of each conversation, the newest first, without what the program adds."""
        for request in reversed(self.stage.requests(self.recipe)):
            yield [re.sub(self.recipe.adds, "", text) for turn in request.turns for text in turn]

    def is_known(self, sent: Sent) -> bool:
        """Tell whether the model was told anything of a message."""
        return any(sent.token in text for request in self.stage.requests() for turn in request.turns for text in turn)

    def is_turned_away(self, text: str, *options: str) -> Sent:
        """Send a message that must be refused and leave the pane as it is."""
        before = _MOVING.sub("", self.steady())
        sent = self.send(text, *options)
        assert sent.is_refused, f"{sent}\n{self.stage.screen(self.pane)}"
        after = _MOVING.sub("", self.steady())
        assert after == before, f"before:\n{before}\nafter:\n{after}"
        assert not self.is_known(sent)
        return sent

    def _said_last(self) -> str:
        told = self.stage.requests(self.recipe)
        return f"{self.stage.screen(self.pane)}\n{told[-1].turns[-2:] if told else 'nothing'}"
