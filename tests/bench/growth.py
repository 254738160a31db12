"""How a mesh of real agents grows: convergence after a change, a cut, a cold start; traffic and memory."""

import time
from dataclasses import dataclass, fields
from functools import partial
from statistics import median

from tests.bench.crowd import Crowd, crowd

SIZES = (10, 50, 100, 200)
CHANGES = 5
PERIOD_SECONDS = 6.0
"""From change to change: what one makes hosts say later is over, and five of these are two of SSH's keepalives."""
TARGET_SECONDS = 2.0
"""Within which a mesh of the largest size has converged after a change."""
FOOTING = "Seconds until every registry.toml says so; packets and KiB for each agent and change; MiB of one agent."
_ROW = "{:<30}" + "{:>10}" * 7


@dataclass(frozen=True, slots=True)
class Grown:
    """What was measured of a mesh; seconds to the last host's registry.toml."""

    agents: int
    change: float
    change_most: float
    heal: float
    cold: float
    packets: float
    """That cross the network for one change, for each agent, beside those that do without; TCP's own are among them."""
    kib: float
    """The same in KiB."""
    mib: float
    """Memory of one agent."""


def measure(size: int) -> Grown:
    """Make a mesh, and do to it what is measured."""
    with crowd(size) as made:
        cold = start(made)
        made.settle()
        changes = []
        before, began = made.traffic(), time.perf_counter()
        for number in range(1, CHANGES + 1):
            address = made.first.rename().encode()
            changes.append(made.seconds_until(partial(_has, address), "the change is known"))
            time.sleep(max(0.0, began + number * PERIOD_SECONDS - time.perf_counter()))
        after = made.traffic()
        time.sleep(CHANGES * PERIOD_SECONDS)  # and not before: by now nothing is left of what the start has caused
        idle = [now - then for now, then in zip(made.traffic(), after, strict=True)]
        packets, sent = (now - then - quiet for now, then, quiet in zip(after, before, idle, strict=True))
        mib = made.resident()
        return Grown(
            agents=size,
            change=median(changes),
            change_most=max(changes),
            heal=_cut_and_heal(made),
            cold=cold,
            packets=packets / CHANGES / size,
            kib=sent / CHANGES / size / 1024,
            mib=mib,
        )


def start(made: Crowd) -> float:
    """Start all, who know nothing; return the seconds until everybody knows everybody's window, and that all live."""
    addresses = [f"[agents.{member.address()}]".encode() for member in made.members]

    def is_whole(text: bytes) -> bool:
        return text.count(b'state = "live') == len(addresses) and all(address in text for address in addresses)

    made.start()
    return made.seconds_until(is_whole, "everybody knows everybody")


def _cut_and_heal(made: Crowd) -> float:
    """Part the sides until each holds the other for gone, change something on each; return how long healing takes."""
    sides = [[member for member in made.members if member.side == side] for side in (0, 1)]
    made.cut()
    for near, far in (sides, sides[::-1]):
        made.seconds_until(partial(_has_lost, len(far)), "the other side is gone", near)
    addresses = [side[0].rename().encode() for side in sides]
    for side, address in zip(sides, addresses, strict=True):
        made.seconds_until(partial(_has, address), "one side knows its change", side)
    made.heal()
    return made.seconds_until(partial(_has, *addresses), "both sides know both")


def _has(*addresses: bytes) -> bool:
    """Tell whether the last, a registry.toml, has all the others."""
    *wanted, text = addresses
    return all(address in text for address in wanted)


def _has_lost(number: int, text: bytes) -> bool:
    return text.count(b"stale since") == number


def heading() -> str:
    """Return the line above the first."""
    return _ROW.format("real agents on this machine", "change s", "most s", "heal s", "cold s", "packets", "KiB", "MiB")


def row(mesh: Grown) -> str:
    """Return the line of one mesh."""
    values = [f"{getattr(mesh, field.name):.2f}" for field in fields(mesh)[1:]]
    return _ROW.format(f"{mesh.agents} agents", *values)
