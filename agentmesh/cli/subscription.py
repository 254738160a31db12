"""Follow one job: over the mesh; while its home can't be reached, over MQTT; where that fails, by asking again.

What is told over MQTT is genuine, and may be what the home doesn't accept; nothing is told twice.
"""

import time
from collections.abc import Callable

import msgspec

from agentmesh.adapters.ipc import Refused
from agentmesh.cli.ask import listen
from agentmesh.cli.following import PATIENCE, look
from agentmesh.core.errand import Overheard
from agentmesh.core.event import Event
from agentmesh.core.follower import exit_code
from agentmesh.core.job import is_end
from agentmesh.errors import AgentmeshError, NoAgent, NoBroker, Unreachable

Line = dict[str, object]


class End(msgspec.Struct, frozen=True):
    """That a job has ended."""

    job: str
    overheard: str = ""
    """The event that says so, as JSON, when it was heard over MQTT; empty when it is by the word of the home."""


class Subscription:
    """Tells what happens to a job, and each change of the way by which it is followed."""

    def __init__(self, job: str, poll_seconds: float, tell: Callable[[Line], object]) -> None:
        self._job = job
        self._poll_seconds = poll_seconds
        self._tell = tell
        self._way = ""
        self._count = 0
        """How many events are known of those that the home has accepted."""
        self._told: set[tuple[str, int]] = set()

    def follow(self) -> End:
        """Return when the job has ended. Raises Refused, as where there is none of that name."""
        while True:
            try:
                seen = look(self._job, self._count, PATIENCE if self._way == "mesh" else 0)
            except (NoAgent, Unreachable, Refused) as error:
                if error.exit_code != Unreachable.exit_code:
                    raise
                if end := self._overhear(str(error)):
                    return end
                continue
            self._goes("mesh")
            for entry in seen.entries:
                self._tell_event(entry.event)
            self._count += len(seen.entries)
            if is_end(seen.job.state) and not seen.entries:
                return End(seen.job.id)

    def _overhear(self, complaint: str) -> End | None:
        """Tell what the agent hears over MQTT until the home can be reached; where it hears nothing, wait a while."""
        ends: list[End] = []

        def take(line: bytes) -> None:
            heard = msgspec.json.decode(line, type=Overheard)
            self._goes("mqtt", broker=heard.broker)
            if heard.event:
                self._tell_event(heard.event)
                if exit_code(heard.event) is not None:
                    ends.append(End(heard.event.job, msgspec.json.encode(heard.event).decode()))

        try:
            listen(take, "job", "overhear", self._job)
        except AgentmeshError as error:
            is_new = error.exit_code != NoBroker.exit_code and str(error) != complaint
            self._goes("polling", reason=f"{complaint} {error}" if is_new else complaint)
            time.sleep(self._poll_seconds)
        return ends[0] if ends else None

    def _goes(self, way: str, **facts: str) -> None:
        """Tell by which way the job is followed from now on, where that is another."""
        if way == self._way:
            return
        self._way = way
        if way == "polling":
            self._tell({"event": "polling", "job": self._job, **facts})
        else:
            self._tell({"event": "following", "job": self._job, "over": way, **facts})

    def _tell_event(self, made: Event) -> None:
        if (made.sender, made.seq) not in self._told:
            self._told.add((made.sender, made.seq))
            self._tell({"event": "job", "job": made.job, "type": made.type, "sender": made.sender})
