"""The figure of a drop: 64 MiB to another host, announced in a pane there, beside scp, which tells nobody."""

import os

from tests.bench.figure import Baseline, Figure, TimesFaster
from tests.bench.scene import Scene

BODY = "the drop is here"
_SIZE = 64 * 1024 * 1024
_NAME = "payload.bin"
_COPY = "/tmp/payload.bin"  # noqa: S108 (of a host that is private)


def to_another_host(scene: Scene) -> Figure:
    """Measure a new content each time: what lies there already isn't sent again."""
    source = scene.here.home / _NAME
    scene.here.outside(_NAME).write_bytes(os.urandom(_SIZE))
    # A reader of the other host takes each file away, so that the memory in which its home lies stays free.
    inbox = scene.there.home / ".agent-inbox" / scene.here.name
    scene.there.start("sh", "-c", f"while sleep 0.05; do rm -f {inbox}/payload*; done")
    renewal = ["sh", "-c", f"date +%s.%N | dd of={source} conv=notrunc status=none"]
    remote = f"{scene.there.name}:{_COPY}"
    return Figure(
        name="a drop of 64 MiB to another host",
        course=[renewal, [scene.notify, scene.address(scene.there), "--file", str(source), BODY]],
        baselines=[
            Baseline("scp", [renewal, ["scp", "-q", str(source), remote]], TimesFaster(1)),
            Baseline(
                "the same over a warm ControlMaster",
                [renewal, ["scp", "-q", "-o", f"ControlPath={scene.control}", str(source), remote]],
            ),
        ],
        warm_ups=1,
        rounds=8,
    )
