"""The growth of a mesh as an SVG: one small chart for each thing measured. Pure: the same figures, the same text."""

from collections.abc import Callable, Iterator, Sequence

from tests.bench.growth import CHANGES, Grown

CHARTS: Sequence[tuple[str, Callable[[Grown], float]]] = (
    (f"seconds after a change (slowest of {CHANGES})", lambda mesh: mesh.change_most),
    ("seconds after a cut in half heals", lambda mesh: mesh.heal),
    ("seconds after a cold start of all", lambda mesh: mesh.cold),
    ("packets per change and agent", lambda mesh: mesh.packets),
    ("KiB per change and agent", lambda mesh: mesh.kib),
    ("MiB of memory per agent", lambda mesh: mesh.mib),
)
_WIDTH, _HEIGHT, _MARGIN = 300, 180, 46
_COLUMNS = 3


def drawn(grown: Sequence[Grown]) -> str:
    """Return the charts, number of agents to the right."""
    width, height = _COLUMNS * _WIDTH, -(-len(CHARTS) // _COLUMNS) * _HEIGHT
    body = [line for number, (name, value) in enumerate(CHARTS) for line in _chart(number, name, value, grown)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif"'
    return "\n".join(
        [f'{head} font-size="11">', '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>", ""]
    )


def _chart(number: int, name: str, value: Callable[[Grown], float], grown: Sequence[Grown]) -> Iterator[str]:
    row, column = divmod(number, _COLUMNS)
    most_agents, most = max(mesh.agents for mesh in grown), max(1e-9, *map(value, grown))
    right, down = _WIDTH - _MARGIN - 24, _HEIGHT - 2 * _MARGIN

    def place(mesh: Grown) -> tuple[float, float]:
        return _MARGIN + right * mesh.agents / most_agents, _MARGIN + down * (1 - value(mesh) / most)

    yield f'<g transform="translate({column * _WIDTH},{row * _HEIGHT})">'
    yield f'<text x="{_MARGIN}" y="22" font-weight="bold">{name}</text>'
    yield f'<path d="M{_MARGIN},{_MARGIN} v{down} h{right}" fill="none" stroke="#999"/>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, grown))
    yield f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="2"/>'
    for mesh in grown:
        x, y = place(mesh)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#06c"/>'
        yield f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle">{value(mesh):.3g}</text>'
        yield f'<text x="{x:.1f}" y="{_MARGIN + down + 15}" text-anchor="middle" fill="#666">{mesh.agents}</text>'
    yield "</g>"
