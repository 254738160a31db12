"""Every error that a person may meet. A class's docstring is the sentence that is read; its fields are filled in."""

from typing import ClassVar


class AgentmeshError(Exception):
    """Something failed: {reason}."""

    exit_code: ClassVar[int] = 4

    def __init__(self, **facts: object) -> None:
        super().__init__(facts)
        self.facts = facts

    def __str__(self) -> str:
        sentence = " ".join((self.__doc__ or "").split())
        return sentence.format(**self.facts)


class UsageError(AgentmeshError):
    """{reason} Try `{program} --help`."""

    exit_code = 1


class BadBody(AgentmeshError):
    """The message can't be sent: {reason}."""

    exit_code = 1


class BadFile(AgentmeshError):
    """Can't send {path}: {reason}."""

    exit_code = 1


class BadKey(AgentmeshError):
    """That key can't be pinned: {reason}."""

    exit_code = 1


class BadAlias(AgentmeshError):
    """{alias!r} can't be a peer: {reason}."""

    exit_code = 1


class NameClash(AgentmeshError):
    """{alias} calls itself {name}, and a peer's alias must be its name: {remedy}."""

    exit_code = 1


class NotPinned(AgentmeshError):
    """No key is pinned to {alias}. See `agentmesh peers`."""

    exit_code = 2


class UnknownPeer(AgentmeshError):
    """No peer is called {alias}. See `agentmesh peers`."""

    exit_code = 2


class BadConfiguration(AgentmeshError):
    """{path} can't be used: {reason}."""

    exit_code = 1


class UnknownAddress(AgentmeshError):
    """No pane is called {address}. {hint}See `agentmesh list`."""

    exit_code = 2


class AmbiguousAddress(AgentmeshError):
    """{address} could be any of: {candidates}. Use more of the name."""

    exit_code = 2


class UnknownMessage(AgentmeshError):
    """No one message has an id that begins with {id}: {found} do. See `{program}`."""

    exit_code = 2


class BadEvent(AgentmeshError):
    """The event isn't accepted: {reason}."""


class UnknownJob(AgentmeshError):
    """No one job has an id that ends with {id!r}: {found} do. See `agentmesh job list --all`."""

    exit_code = 2


class ForeignJob(AgentmeshError):
    """The home of {id} is {home}: run the command there."""

    exit_code = 1


class BadReview(AgentmeshError):
    """The review {id} can't be changed: {reason}. See `agentmesh review show {id}`."""

    exit_code = 1


class UnknownReview(AgentmeshError):
    """No one review of this host {which}: {found}. See `agentmesh review list`, here or on the host that started it."""

    exit_code = 2


class BadDiff(AgentmeshError):
    """The diff {diff} can't be read in {folder}: {reason}. Name a file, or commits that git knows there."""

    exit_code = 1


class UnknownSession(AgentmeshError):
    """No session of this host is called {name}. See `agentmesh session status`."""

    exit_code = 2


class NotAsked(AgentmeshError):
    """{host} can't be asked over ssh, and nothing was done there: {reason}. {remedy}."""


class CutOff(AgentmeshError):
    """The connection to {host} was cut, and what came of this is not known; the agent there goes on. {remedy}."""

    exit_code = 7


class BadTeam(AgentmeshError):
    """{path} can't be used, and nothing was started: {reason}."""

    exit_code = 1


class SessionExists(AgentmeshError):
    """A session called {name} exists. Take another name, or `agentmesh session resume {name}`, or archive it."""

    exit_code = 1


class SessionState(AgentmeshError):
    """The session {name} is {status}. {remedy}."""

    exit_code = 1


class UnknownProgram(AgentmeshError):
    """No profile tells how {program} is started. There are: {known}. See [session] in agentmesh/profiles/*.toml."""

    exit_code = 2


class ProgramNotFound(AgentmeshError):
    """There is no program called {program} on PATH. Install it, or give its path in a profile of your own."""


class NoRoom(AgentmeshError):
    """There is no room for another pane in that window: {reason}. Open a window instead, with --window."""

    exit_code = 1


class CrashedAtStart(AgentmeshError):
    """{program} has ended as soon as it was started. Its last lines:{lines}"""  # noqa: D400, D415 (they end it)


class NotReady(AgentmeshError):
    """The session {name} runs, and isn't ready: {readiness}. {remedy} It shows:{lines}"""  # noqa: D400, D415

    exit_code = 3


class ReadyTimeout(NotReady):
    """The session {name} runs, and was not ready after {seconds:g} s: {readiness}. {remedy} It shows:{lines}"""  # noqa: D400, D415

    exit_code = 5


class SessionBusy(AgentmeshError):
    """{name} isn't stopped: {readiness}; nothing was sent. Finish it there, or give --force. It shows:{lines}"""  # noqa: D400, D415

    exit_code = 3


class SessionInWork(AgentmeshError):
    """Another command is at work on the session {name}. Try again in a moment."""


class NoConversation(AgentmeshError):
    """No conversation of {name} is recorded, so there is none to go on with. Archive it, and create a new one."""

    exit_code = 1


class SessionLost(AgentmeshError):
    """The conversation {conversation} of {name} is gone from disk. Archive the session, and create a new one."""

    exit_code = 1


class NotInSession(AgentmeshError):
    """Only the worker of a session says this, from its own pane, and the command doesn't run in one."""

    exit_code = 2


class NotClosable(AgentmeshError):
    """{name} isn't closed, and nothing was sent: {missing}. Or close it all the same: --force."""

    exit_code = 3


class NothingToClose(AgentmeshError):
    """The end of {job} closes no session here: {reason}."""

    exit_code = 3


class PurgeRefused(AgentmeshError):
    """Nothing is removed: {reason}."""

    exit_code = 1


class ProcessStays(AgentmeshError):
    """{count} processes of {name} have not ended, though they were killed: {pids}. Its record says that it runs."""


class BrokenChain(AgentmeshError):
    """Line {line} of {path} isn't what was written: {reason}."""


class BadBroker(AgentmeshError):
    """The MQTT broker's settings can't be used: {reason}."""

    exit_code = 1


class NoBroker(AgentmeshError):
    """No MQTT broker is configured. Set MQTT_BROKER, or broker in [mqtt] of config.toml."""

    exit_code = 1


class BrokerFailed(AgentmeshError):
    """The MQTT broker {broker} can't be used: {reason}."""


class BrokerDenied(BrokerFailed):
    """The MQTT broker {broker} denies it: {reason}."""

    exit_code = 6


class EventRejected(BrokerFailed):
    """The MQTT broker {broker} doesn't take this event: {reason}."""


class NotOverheard(AgentmeshError):
    """The events of {job} are not taken from the MQTT broker: {reason}."""


class NotInPane(AgentmeshError):
    """Only a registered pane can be identified, and the command doesn't run in one. Run it inside tmux."""

    exit_code = 2


class TmuxFailed(AgentmeshError):
    """tmux could not be asked: {reason}."""


class PaneGone(AgentmeshError):
    """The pane {pane} no longer exists. See `agentmesh list`."""


class PaneReplaced(AgentmeshError):
    """Another process has taken the pane {pane} since it was registered. Try again."""


class Unreachable(AgentmeshError):
    """{host} can't be reached: {reason}."""


class TooOld(Unreachable):
    """{host} can't be asked: its agentmesh is too old for jobs. Upgrade it there."""


class NotAdmitted(Unreachable):
    """{host} can't be reached: {reason}."""


class HostKeyUnknown(NotAdmitted):
    """{host} can't be reached: {reason}."""


class KeyNotTaken(NotAdmitted):
    """{host} can't be reached: {reason}."""


class NotInstalled(NotAdmitted):
    """{host} can't be reached: {reason}."""


class ProtocolError(AgentmeshError):
    """The other side speaks something that isn't the agentmesh protocol: {reason}."""


class LinkRefused(AgentmeshError):
    """The link is refused: {reason}."""


class SetupFailed(AgentmeshError):
    """{peer}: {reason}. What was done until then stands, and `agentmesh setup` goes on from there."""


class DropFailed(AgentmeshError):
    """{name} could not be dropped on {host}: {reason}."""


class NoAgent(AgentmeshError):
    """No agent runs here. Start it with `agentmesh run`."""


class NotSetUp(AgentmeshError):
    """agentmesh isn't set up here. Run `agentmesh install`."""

    exit_code = 127  # as a shell that finds no program: to a peer it is the same


class AlreadyRunning(AgentmeshError):
    """An agent already runs for {home}. Stop it with `agentmesh stop`, or look at it with `agentmesh status`."""


class StoreFailed(AgentmeshError):
    """The database {path} can't be used: {reason}."""


class InstallFailed(AgentmeshError):
    """Could not {what}: {reason}."""
