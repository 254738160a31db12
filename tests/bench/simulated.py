"""How gossip spreads in meshes that are too large to run: core's view and core's rule of who is told what, in rounds.

In a round every host tells each neighbour what it has learned in the round before, and all of it is heard. What a host
holds is an integer with a bit for each host: of 10,000 hosts with news each, 10^8 facts take 12 MB. A test holds it
against core's own `wants` and `is_left`. What hosts say later of what they have left to others is not in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentmesh.core.model import Version
from agentmesh.core.view import in_ring
from agentmesh.core.wire import SliceNews, Summary, encode
from tests.core.examples import a_pane, a_slice

SIZES = (200, 1_000, 10_000)
FULL = 64
CHANGED_WHILE_CUT = 100
"""Of so many hosts one has changed while the mesh was in two halves."""
_ROW = "{:<46} {:>6} {:>6} {:>9} {:>9} {:>7} {:>9}"


@dataclass(frozen=True, slots=True)
class Spreading:
    """What it took until everybody knew everything."""

    rounds: int
    told: list[int]
    """How many slices each host has sent."""
    is_whole: bool
    """Whether everybody knows everything."""


def graph(size: int, full: int = FULL, down: range = range(0)) -> list[list[int]]:
    """Return the neighbours of each host of a mesh in which all links are up that its hosts keep.

    Hosts are numbers: their places on the ring. ``down`` can't be dialled by the others, nor they by those.
    """
    order = in_ring(f"host-{number:05}" for number in range(size))
    ring = order.hosts
    here = [number for number in range(size) if number not in down]
    near: list[set[int]] = [set() for _ in ring]
    places = {host: place for place, host in enumerate(ring)}
    for side in (here, list(down)):
        live = {ring[place] for place in side}
        failures = {host: 1 for host in ring if host not in live}
        for place in side:
            for host in order.view(ring[place], failures, full):
                if host in live:
                    near[place].add(places[host])
                    near[places[host]].add(place)
    return [sorted(neighbours) for neighbours in near]


def spread(near: Sequence[Sequence[int]], known: list[int], fresh: list[int]) -> Spreading:
    """Let everybody tell what is fresh to it, round by round, until nothing is; ``known`` includes it, and grows."""
    masks = [_mask(neighbours) for neighbours in near]
    before = [0] * len(near)
    told = [0] * len(near)
    rounds = 0
    while any(fresh):
        heard = [0] * len(near)
        for host, news in enumerate(fresh):
            for other in near[host] if news else ():
                sent = news & ~before[other] & _told(near, masks, host, other)
                told[host] += sent.bit_count()
                heard[other] |= sent
        before = fresh
        fresh = [news & ~held for news, held in zip(heard, known, strict=True)]
        known = [held | news for held, news in zip(known, fresh, strict=True)]
        rounds += any(fresh)
    return Spreading(rounds, told, len(set(known)) == 1)


def after_one_change(near: Sequence[Sequence[int]]) -> Spreading:
    """One host has news."""
    fresh = [0] * len(near)
    fresh[0] = 1
    return spread(near, fresh, fresh)


def after_a_cold_start(near: Sequence[Sequence[int]]) -> Spreading:
    """Every host begins a new epoch at once, and all links come up."""
    fresh = [1 << host for host in range(len(near))]
    return spread(near, fresh, fresh)


def after_a_cut(near: Sequence[Sequence[int]], halves: Sequence[Sequence[int]]) -> Spreading:
    """Two halves of the ring have each gone on alone, and all links that are not there yet come up at once."""
    size = len(near)
    changed = [_mask(range(0, size // 2, CHANGED_WHILE_CUT)), _mask(range(size // 2, size, CHANGED_WHILE_CUT))]
    known = [changed[host >= size // 2] for host in range(size)]
    heard = list(known)
    told = [0] * size
    masks = [_mask(neighbours) for neighbours in near]
    for host, neighbours in enumerate(near):
        for other in set(neighbours) - set(halves[host]):
            sent = known[host] & ~known[other] & _told(near, masks, host, other)
            told[host] += sent.bit_count()
            heard[other] |= sent
    fresh = [news & ~held for news, held in zip(heard, known, strict=True)]
    rest = spread(near, heard, fresh)
    return Spreading(
        1 + rest.rounds, [first + later for first, later in zip(told, rest.told, strict=True)], rest.is_whole
    )


def rows(sizes: Sequence[int] = SIZES) -> Iterator[str]:
    """Yield the table's lines."""
    yield _ROW.format("simulated: slices in rounds", "hosts", "links", "told/host", "most", "rounds", "KiB/host")
    for size in sizes:
        for name, full in (("partial view", FULL), ("full mesh", size)):
            if full * size > 1_000_000:
                continue  # 10^8 links are too many to look at
            near = graph(size, full)
            links = sum(map(len, near)) / size
            halves = graph(size, full, range(size // 2, size))
            for event, done in (
                ("one change", after_one_change(near)),
                (f"a cut in half heals, {1 / CHANGED_WHILE_CUT:.0%} changed", after_a_cut(near, halves)),
                ("cold start, every slice is new", after_a_cold_start(near)),
            ):
                if not done.is_whole:
                    raise AssertionError(f"{event}: not everybody knows everything")
                each = sum(done.told) / size
                kib = each * _slice_bytes() / 1024
                yield _ROW.format(
                    f"{name}: {event}", size, f"{links:.0f}", f"{each:.1f}", max(done.told), done.rounds, f"{kib:.1f}"
                )
    yield f"A slice of one window is {_slice_bytes()} bytes. Besides, when a link comes up, both sides send a summary:"
    yield f"of 10,000 hosts {_summary_kib(10_000):.0f} KiB."
    yield ""


def _told(near: Sequence[Sequence[int]], masks: Sequence[int], host: int, other: int) -> int:
    """Return the hosts whose news one host tells another, all its links being up."""
    size = len(near)
    ahead = (other - host) % size
    if len(near[other]) == size - 1 or ahead & (ahead - 1):
        return 1 << host
    first, count = other - min(2 * ahead, size) + 1, min(2 * ahead, size) - ahead
    origins = ((1 << count) - 1) << first % size
    origins = (origins | origins >> size) & ((1 << size) - 1)
    return origins & ~masks[other] | 1 << host


def _mask(hosts: Sequence[int] | range) -> int:
    mask = 0
    for host in hosts:
        mask |= 1 << host
    return mask


def _slice_bytes() -> int:
    return len(encode(SliceNews(a_slice(a_pane(command="claude", cwd="/home/me/src", program="claude")))))


def _summary_kib(size: int) -> float:
    versions = {f"host-{number:05}": Version(7, 123, "0" * 16) for number in range(size)}
    return len(encode(Summary((), versions))) / 1024
