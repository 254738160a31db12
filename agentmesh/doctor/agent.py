"""Check the agent: whether it runs, answers, and is of this code; whether a crash has left its socket."""

from agentmesh.adapters.files import shown_path
from agentmesh.config import Paths
from agentmesh.core.finding import Finding, broken, ok, warning
from agentmesh.core.status import Status
from agentmesh.install.agent import Silent, difference


def check_agent(answer: Status | Silent | None) -> Finding:
    """See that the agent runs, answers, and is of the code that is installed."""
    match answer:
        case None:
            return broken("agent", "none runs", "agentmesh install, or in a window of its own: agentmesh run")
        case Silent(reason):
            return broken("agent", reason, "agentmesh install, which ends it, and starts another")
        case Status():
            if seen := difference(answer):
                return broken("agent", seen, "agentmesh install, which starts it anew")
            return ok("agent", f"agentmesh {answer.version} runs, pid {answer.pid}")


def check_brokers(answer: Status) -> list[Finding]:
    """See that the MQTT brokers that events are mirrored to have them."""
    findings = []
    for broker in answer.brokers:
        name = f"broker {broker.broker}"
        if not broker.is_connected:
            seen = broker.reason or "it is being connected"
            findings.append(
                broken(name, seen, f"{broker.waiting} events wait for it; see the reason, then: agentmesh log")
            )
        elif broker.withheld:
            remedy = "let us write to the topics of all our jobs there; it is tried again each minute"
            findings.append(broken(name, broker.reason, remedy))
        elif broker.reason:
            findings.append(
                warning(name, broker.reason, "use a broker that speaks MQTT 5, or let us read what we write")
            )
        else:
            findings.append(ok(name, "connected"))
    return findings


def check_socket(answer: Status | Silent | None, paths: Paths) -> Finding:
    """See that no socket is left of an agent that has crashed."""
    shown = shown_path(paths.socket)
    if answer is None and paths.socket.exists():
        return warning("socket", f"{shown} was left by an agent that is gone", f"rm {shown}")
    return ok("socket", shown if answer else "none, as no agent runs")


def remove_socket(paths: Paths) -> str:
    """Remove a socket that nobody listens at. Returns what was done."""
    paths.socket.unlink(missing_ok=True)
    return f"removed {shown_path(paths.socket)}, which was left by an agent that is gone"
