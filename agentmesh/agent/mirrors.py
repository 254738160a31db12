"""Which MQTT broker each job's events go to; a mirror for each of those brokers."""

from hashlib import sha256

from agentmesh.agent.job_brokers import NAME
from agentmesh.agent.jobs import Jobs
from agentmesh.agent.log import log
from agentmesh.agent.mirror import Mirror
from agentmesh.agent.tasks import Tasks
from agentmesh.config import Paths, load_broker
from agentmesh.core.broker import Broker, broker, warnings
from agentmesh.core.status import Mirroring
from agentmesh.errors import BadBroker, BadConfiguration
from agentmesh.store.database import Database


class Mirrors:
    """Keeps a mirror for the host's broker, if it has one, and for each that a job has of its own."""

    def __init__(self, alias: str, paths: Paths, database: Database, jobs: Jobs, tasks: Tasks) -> None:
        self._alias = alias
        self._paths = paths
        self._host_broker: Broker | None = None
        self._database = database
        self._jobs = jobs
        self._tasks = tasks
        self._mirrors: dict[str, Mirror] = {}
        self._destinations: dict[str, str] = {}
        """The name of each job's broker; empty for none."""

    async def start(self) -> None:
        """Mirror from now on what is accepted, and what was not mirrored before."""
        try:
            self._host_broker = load_broker(self._paths)
        except (BadBroker, BadConfiguration) as error:
            log.error("events are not mirrored", reason=error)
        if self._host_broker:
            self._mirror(self._host_broker, self._alias)
        for path in sorted(self._paths.jobs.glob(f"*/{NAME}")):
            await self._destination(path.parent.name)
        self._jobs.listeners.append(self._on_news)

    async def standings(self) -> list[Mirroring]:
        """Return how it stands with each broker."""
        return [await mirror.standing() for mirror in self._mirrors.values()]

    @property
    def host_broker(self) -> Broker | None:
        """The broker that the agent's environment or config.toml names, if one does."""
        return self._host_broker

    @property
    def brokers(self) -> list[str]:
        """The names of the brokers that there is a mirror for."""
        return list(self._mirrors)

    def forget(self, job: str) -> None:
        """Forget where the events of a job go that is kept no longer."""
        self._destinations.pop(job, None)

    def _on_news(self, job: str) -> None:
        if job in self._destinations:
            self._wake()
        else:
            self._tasks.start_supervised("see where events go", self._wake_first(job))

    async def _wake_first(self, job: str) -> None:
        await self._destination(job)
        self._wake()

    def _wake(self) -> None:
        for mirror in self._mirrors.values():
            mirror.wake()

    async def _destination(self, job: str) -> str:
        """Return the name of the broker that a job's events go to; empty when there is none. Starts its mirror."""
        if job not in self._destinations:
            try:
                settings = await self._jobs.broker_of(job)
                chosen = broker(settings) if settings else self._host_broker
            except (BadBroker, BadConfiguration) as error:
                log.error("a job's events are not mirrored", job=job, reason=error)
                chosen = None
            if chosen:
                self._mirror(chosen, f"{self._alias}-{sha256(chosen.name.encode()).hexdigest()[:8]}")
            self._destinations[job] = chosen.name if chosen else ""
        return self._destinations[job]

    def _mirror(self, chosen: Broker, client: str) -> None:
        if chosen.name in self._mirrors:
            return

        async def goes_here(job: str) -> bool:
            return await self._destination(job) == chosen.name

        for warning in warnings(chosen):
            log.warning("careful with the broker", reason=warning)
        mirror = self._mirrors[chosen.name] = Mirror(self._alias, chosen, client, self._database, self._jobs, goes_here)
        self._tasks.start_supervised(f"mirror to {chosen.name}", mirror.keep_mirroring())
