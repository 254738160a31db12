"""The figures of a delivery: notify-pane to a pane on another host, and to one on this host."""

import shlex
import sys

from tests.bench.figure import Baseline, Figure, TimesAsLong, TimesFaster
from tests.bench.scene import Scene
from tests.bench.stopwatch import Course

BODY = "schema changed at row 142"


def to_another_host(scene: Scene) -> Figure:
    """Beside what people do without us: look, type, and press Enter over ssh, which proves nothing."""
    return Figure(
        name="notify-pane to a pane on another host",
        course=[[scene.notify, scene.address(scene.there), BODY]],
        baselines=[
            Baseline("three cold ssh commands", _over_ssh(scene, "-S", "none"), TimesFaster(25)),
            Baseline("the same over a warm ControlMaster", _over_ssh(scene, "-S", scene.control), TimesFaster(1)),
        ],
        warm_ups=3,
        rounds=30,
    )


def to_this_host(scene: Scene) -> Figure:
    """Beside a Python that does nothing but start and import what any client of a socket would."""
    python = sys.executable
    return Figure(
        name="notify-pane to a pane on this host",
        course=[[scene.notify, scene.address(scene.here), BODY]],
        baselines=[
            Baseline('python -c "import socket, json"', [[python, "-c", "import socket, json"]], TimesAsLong(1.2)),
            Baseline("python -c pass", [[python, "-c", "pass"]]),
            Baseline('python -I -S -c "import _socket"', [[python, "-I", "-S", "-c", "import _socket"]]),
            Baseline("one tmux display-message", [["tmux", "display-message", "-p", "-t", scene.typed, "x"]]),
        ],
        warm_ups=5,
        rounds=100,
    )


def _over_ssh(scene: Scene, *options: str) -> Course:
    ssh = ["ssh", *options, scene.there.name]
    return [
        [*ssh, shlex.join(["tmux", "capture-pane", "-p", "-t", scene.typed])],
        [*ssh, shlex.join(["tmux", "send-keys", "-t", scene.typed, "-l", BODY])],
        [*ssh, shlex.join(["tmux", "send-keys", "-t", scene.typed, "Enter"])],
    ]
