"""The figure of many messages: each round one for each of twenty panes on another host, five hundred rounds."""

import shlex

from tests.bench.figure import Baseline, Figure
from tests.bench.scene import SESSION, Scene
from tests.e2e.namespaces import wait_until

LANES = tuple(f"lane-{number:02}" for number in range(20))
ROUNDS = 500


def to_many_panes(scene: Scene) -> Figure:
    """Beside one ssh that types into all of them at once over an open connection, and proves nothing."""
    host = scene.there
    for lane in LANES:
        host.run("tmux", "new-window", "-d", "-t", f"{SESSION}:", "-n", lane, f"exec cat > {_log(lane)}")
        host.run("tmux", "new-window", "-d", "-t", f"{SESSION}:", "-n", f"typed-{lane}", "exec cat > /dev/null")
    addresses = {f"{host.name}-{SESSION}-{lane}" for lane in LANES}
    wait_until(
        lambda: addresses <= set(scene.here.run(scene.notify, "--list").stdout.split()), "the panes are known here"
    )
    typing: list[str] = ["tmux"]
    for lane in LANES:
        target = f"{SESSION}:typed-{lane}"
        typing += ["send-keys", "-t", target, "-l", "number {round}", ";", "send-keys", "-t", target, "Enter", ";"]
    return Figure(
        name=f"{len(LANES)} panes on another host, a message each",
        course=[[scene.notify, f"{host.name}-{SESSION}-lane-*", "number {round}"]],
        baselines=[
            Baseline(
                "one ssh over a warm ControlMaster, all typed",
                [["ssh", "-S", scene.control, host.name, shlex.join(typing)]],
            )
        ],
        warm_ups=0,
        rounds=ROUNDS,
    )


def expect_order(scene: Scene) -> None:
    """See that each pane's program has read every message once, in the order of the rounds. Raises AssertionError."""
    for lane in LANES:
        lines = scene.there.outside(_log(lane)).read_text().splitlines()
        numbers = [line.rpartition("number ")[2] for line in lines]
        if numbers != [str(number) for number in range(ROUNDS)]:
            raise AssertionError(f"{lane} got {len(numbers)} messages, not each of {ROUNDS} once and in order")


def _log(lane: str) -> str:
    return f"{lane}.log"
