"""Those who call: how many conversations others may have begun with this host at once, all together and each."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from agentmesh.errors import LinkRefused

MOST = 512
"""Each costs a descriptor, of which a process has 1,024 as a rule, and up to some MiB."""
MOST_OF_ONE = 64
"""Of one host: its link, and a conversation for each file."""


class Callers:
    """Counts the conversations that others have begun."""

    def __init__(self) -> None:
        self._all = 0
        self._of: Counter[str] = Counter()

    @contextmanager
    def calling(self, descriptors: int = 1) -> Iterator[None]:
        """Count a conversation whose caller isn't known yet. Raises LinkRefused when there are too many.

        One that costs more ``descriptors`` counts as so many.
        """
        if self._all + descriptors > MOST:
            raise LinkRefused(reason=f"{MOST} conversations are held here already")
        self._all += descriptors
        try:
            yield
        finally:
            self._all -= descriptors

    @contextmanager
    def named(self, host: str) -> Iterator[None]:
        """Count a conversation as a host's. Raises LinkRefused when that has too many."""
        if self._of[host] >= MOST_OF_ONE:
            raise LinkRefused(reason=f"{host} holds {MOST_OF_ONE} conversations here already")
        self._of[host] += 1
        try:
            yield
        finally:
            self._of[host] -= 1
            if not self._of[host]:
                del self._of[host]
