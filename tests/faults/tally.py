"""Compare what was sent, what was told of it, and what the programs in the panes got."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from agentmesh.core.delivery import State, is_end
from agentmesh.core.model import Receipt

SUCCESS = {State.SUBMITTED, State.DISPLAYED}


class Tally(msgspec.Struct):
    """The outcome of a run: how many messages fared how, and those that fared badly, by name."""

    counts: Counter[str]
    lost: list[str]
    twice: list[str]
    untrue: list[str]
    """Told to have ended without anything typed, but in a pane; or in a pane, but never sent."""
    unended: list[str]
    out_of_order: list[str]

    @property
    def bad(self) -> int:
        """How many broke a promise."""
        return sum(map(len, (self.lost, self.twice, self.untrue, self.unended, self.out_of_order)))

    @property
    def table(self) -> str:
        """The figures, for people."""
        promises = {name: getattr(self, name) for name in ("lost", "twice", "untrue", "unended", "out_of_order")}
        rows = [*sorted(self.counts.items()), *((name, len(bodies)) for name, bodies in promises.items())]
        lines = [f"{name:<55} {number:>7}" for name, number in rows]
        for name, bodies in promises.items():
            lines += [f"{name}: {body}" for body in bodies[:20]]
        return "\n".join(lines)


def tally(outcomes: Mapping[str, str], told: Mapping[str, Receipt], logs: Mapping[str, Sequence[str]]) -> Tally:
    """Return how all messages fared.

    ``outcomes``: each message that a command was asked to send, and the command's exit code; ``told``: the outboxes;
    ``logs``: what each pane's program got, in order. Messages are told apart by their bodies, ``sender pane number``.
    """
    arrived = Counter(body for log in logs.values() for body in log)
    result = Tally(Counter({"sent": len(outcomes)}), [], [], [], [], [])
    for body, outcome in outcomes.items():
        times = arrived[body]
        if times > 1:
            result.twice.append(body)
        if (receipt := told.get(body)) is not None:
            _judge(result, body, receipt, times)
        elif times:
            result.untrue.append(f"{body}: not in the outbox")
        elif outcome == "0":
            result.lost.append(f"{body}: not in the outbox")
        else:
            result.counts["not accepted (the command was cut, or said so)"] += 1
    result.untrue += [f"never sent: {body!r}" for body in arrived if body not in outcomes]
    result.out_of_order = list(_out_of_order(logs))
    return result


def _judge(result: Tally, body: str, receipt: Receipt, times: int) -> None:
    """Hold what the outbox tells of a message against how often it arrived."""
    if not is_end(receipt.state):
        result.unended.append(f"{body}: {receipt}")
    elif receipt.state in SUCCESS:
        result.counts["delivered"] += 1
        if not times:
            result.lost.append(f"{body}: {receipt}")
    elif receipt.state is State.UNCERTAIN:
        result.counts[f"uncertain, {'arrived' if times else 'did not arrive'}"] += 1
        result.counts[f"  uncertain because: {receipt.detail[:34]}"] += 1
    else:
        result.counts[f"{receipt.state}: {receipt.readiness} {receipt.detail[:30]}"] += 1
        if times:
            result.untrue.append(f"{body}: {receipt}")


def _out_of_order(logs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what came after a message that was sent later by the same sender to the same pane."""
    found = []
    for log in logs.values():
        last: dict[str, int] = defaultdict(int)
        for body in log:
            lane, _, number = body.rpartition(" ")
            if not number.isdigit():
                continue
            if int(number) < last[lane]:
                found.append(f"{body} after {last[lane]}")
            last[lane] = max(last[lane], int(number))
    return found
