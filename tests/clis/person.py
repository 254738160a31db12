"""A person at the keyboard of a pane in which a program runs."""

import time

from tests.clis.recipes import Recipe
from tests.clis.stage import Stage
from tests.eventually import eventually

_STEADY_SECONDS = 1.5
_MOST_SECONDS = 12.0
_PATIENCE = 45.0


class Person:
    """Types, pastes, and waits for what the program makes of it."""

    def __init__(self, stage: Stage, recipe: Recipe, pane: str) -> None:
        self.stage = stage
        self.recipe = recipe
        self.pane = pane

    def type(self, text: str) -> None:
        """Type key by key."""
        for key in text:
            self.stage.tmux("send-keys", "-t", self.pane, "-l", key)

    def press(self, *names: str) -> None:
        """Press named keys."""
        self.stage.tmux("send-keys", "-t", self.pane, *names)

    def paste(self, text: str) -> None:
        """Paste as a terminal does."""
        self.stage.run("tmux", "load-buffer", "-b", "recorded", "-", stdin=text)
        self.stage.tmux("paste-buffer", "-p", "-d", "-b", "recorded", "-t", self.pane)

    def steady(self, seconds: float = _MOST_SECONDS) -> str:
        """Return the screen when it has stood still for a while; what is animated is waited for only so long."""
        until = time.monotonic() + seconds
        seen, since = "", time.monotonic()
        while time.monotonic() < min(until, since + _STEADY_SECONDS):
            if (now := self.stage.screen(self.pane)) != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.05)
        return seen

    def submit(self, text: str) -> None:
        """Submit a text, and wait until the server has been told of it."""
        self.paste(text)
        self.steady(3)
        self.press("Enter")
        eventually(lambda: self._told(text), f"the server is told: {text}", self._last_seen, _PATIENCE)

    def shows(self, pattern: str) -> None:
        """Wait until the screen shows something."""
        self.stage.wait_for(self.pane, pattern)

    def _told(self, text: str) -> bool:
        return any(text in said for request in self.stage.requests(self.recipe) for said in request.turns[-1])

    def _last_seen(self) -> str:
        return self.stage.screen(self.pane)
