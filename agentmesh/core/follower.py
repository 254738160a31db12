"""What somebody outside of the mesh makes of the events of a job that are heard over MQTT. Pure.

Who has the job's token is told by nobody else of it: not by who writes to the topic, nor by who plays an event again.
"""

from agentmesh.core.event import Event, content, decode, home_of, is_genuine
from agentmesh.core.job import EXIT_CODES, OF_THE_HOME
from agentmesh.errors import BadEvent


class Follower:
    """Follows one job, with its token or, when that is empty, in good faith."""

    def __init__(self, job: str, token: str) -> None:
        self._job = job
        self._token = token
        self._highest: dict[str, int] = {}

    def take(self, payload: bytes) -> Event | None:
        """Return the event of a message; None for one that was heard already. Raises BadEvent."""
        event = decode(payload)
        if event.job != self._job:
            raise BadEvent(reason=f"it is of {event.job}")
        if self._token and not is_genuine(event, self._token):
            raise BadEvent(reason="its signature is wrong")
        if event.type in OF_THE_HOME and event.sender != home_of(event.job):
            raise BadEvent(reason=f"only the job's home says {event.type}")
        if event.seq <= self._highest.get(event.sender, 0):
            return None
        content(event)
        self._highest[event.sender] = event.seq
        return event


def exit_code(event: Event) -> int | None:
    """Return what following a job exits with after an event; None while it goes on.

    >>> from agentmesh.core.event import EventType
    >>> [exit_code(Event(job="hub-00112233aabbccdd", seq=1, type=kind, time=0, sender="me")) for kind in EventType]
    [None, None, None, None, 0, 8, 9, 10, None]
    """
    return _CODES.get(event.type.value)


_CODES = {state.value: code for state, code in EXIT_CODES.items()}
