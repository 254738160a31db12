"""`make bench`: print each figure beside its baselines, all from one run; with names, those figures alone.

Exit codes: 0 every target is reached, 1 one is missed, 2 something could not be measured here.
"""

import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench import (
    chart,
    deliveries,
    drops,
    events,
    events_over_mqtt,
    growth,
    renames,
    screens,
    simulated,
    stopwatch,
    table,
    throughput,
)
from tests.bench.figure import Figure, Spread
from tests.bench.scene import Scene, two_hosts
from tests.e2e.hosts import Host, obstacle

PATIENCE = 600.0
"""Seconds that the runs of one figure may take."""
_GROWTH = Path(__file__).with_name("growth.svg")


def main(names: list[str]) -> int:
    """Measure, print, and return the exit code."""
    if unknown := set(names) - set(FIGURES):
        sys.stderr.write(f"No figure is called {', '.join(sorted(unknown))}. There are: {', '.join(FIGURES)}\n")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that everything is ended and removed
    reached = []
    for name in names or FIGURES:
        if name in IN_NAMESPACES and (reason := obstacle()):
            sys.stderr.write(f"{name} was not measured. {reason}\n")
            return 2
        reached.append(FIGURES[name]())
    return 0 if all(reached) else 1


def _screens() -> bool:
    judged = list(screens.judged())
    _show(*screens.rows(judged))
    return all(line.is_reached for line in judged)


def _messages() -> bool:
    _show(*table.heading())
    with two_hosts() as scene:

        def present(figure: Figure, receiver: Host, body: str) -> bool:
            # The terminal echoes each message once, and cat writes it once more.
            times = 2 * (figure.warm_ups + figure.rounds)
            return _present(scene, figure, lambda: scene.expect_lines(receiver, body, times))

        reached = [
            present(deliveries.to_another_host(scene), scene.there, deliveries.BODY),
            present(deliveries.to_this_host(scene), scene.here, deliveries.BODY),
            present(drops.to_another_host(scene), scene.there, drops.BODY),
            _present(scene, throughput.to_many_panes(scene), lambda: throughput.expect_order(scene)),
        ]
    return all(reached)


def _renames() -> bool:
    _show(*table.heading())
    lines = []
    for place in renames.PLACES:
        for line in renames.present(place):
            lines.append(line)
            _show(line)
    _show("")
    return not any(line.endswith("NO") for line in lines)


def _jobs() -> bool:
    _show(*table.heading())
    with two_hosts() as scene:
        lines = []
        for line in events.present(scene):
            lines.append(line)
            _show(line)
    _show("")
    return not any(line.endswith("NO") for line in lines)


def _simulated() -> bool:
    for line in simulated.rows():
        _show(line)
    return True


def _growth() -> bool:
    _show(growth.heading())
    grown = []
    for size in growth.SIZES:
        try:
            grown.append(growth.measure(size))
        except TimeoutError as error:
            _show(f"{size} agents: {error}")
        else:
            _show(growth.row(grown[-1]))
    _show(growth.FOOTING, "")
    if grown:
        _GROWTH.write_text(chart.drawn(grown))
    return len(grown) == len(growth.SIZES) and grown[-1].change_most <= growth.TARGET_SECONDS


def _events_over_mqtt() -> bool:
    for line in events_over_mqtt.rows():
        _show(line)
    return True


FIGURES: dict[str, Callable[[], bool]] = {
    "screens": _screens,
    "messages": _messages,
    "renames": _renames,
    "jobs": _jobs,
    "simulated": _simulated,
    "growth": _growth,
    "events-over-mqtt": _events_over_mqtt,
}
"""By name; each measures, prints, and returns whether its targets are reached."""
IN_NAMESPACES = {"messages", "renames", "jobs", "growth"}


def _present(scene: Scene, figure: Figure, prove: Callable[[], None]) -> bool:
    """Measure a figure, prove that the work was done, and print it; returns whether its targets are reached."""
    spreads = _measured(scene.here, figure)
    prove()
    _show(*table.rows(figure, spreads))
    return figure.is_reached(spreads)


def _measured(host: Host, figure: Figure) -> Mapping[str, Spread]:
    """Time a figure's courses by one process inside the host, so that nobody's way into it is counted."""
    script = Path(stopwatch.__file__)
    wish = {"courses": figure.courses, "warm_ups": figure.warm_ups, "rounds": figure.rounds}
    answer = host.run(sys.executable, "-IS", script, stdin=json.dumps(wish), timeout=PATIENCE).stdout
    return {name: Spread.of(seconds) for name, seconds in json.loads(answer).items()}


def _show(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
