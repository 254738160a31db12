"""The table that people read. Pure: measured times in, lines out."""

from collections.abc import Iterator, Mapping

from tests.bench.figure import Baseline, Figure, Spread

_ROW = "{:<46} {:>9} {:>9} {:>9} {:>8} {:>8}  {}"


def heading() -> Iterator[str]:
    """Yield the lines above the first figure."""
    yield _ROW.format("milliseconds, whole processes", "min", "p50", "p99", "ratio", "target", "reached").rstrip()


def rows(figure: Figure, spreads: Mapping[str, Spread]) -> Iterator[str]:
    """Yield a figure, and below it each baseline with its ratio of medians to the figure's."""
    yield ""
    yield row(figure.name, spreads[figure.name])
    for baseline in figure.baselines:
        yield row(f"  {baseline.name}", spreads[baseline.name], *_verdict(figure, baseline, spreads))


def row(name: str, spread: Spread, ratio: str = "", target: str = "", reached: str = "") -> str:
    """Return the line of one spread, in milliseconds."""
    times = (f"{seconds * 1000:.1f}" for seconds in (spread.least, spread.middle, spread.most))
    return _ROW.format(name, *times, ratio, target, reached).rstrip()


def _verdict(figure: Figure, baseline: Baseline, spreads: Mapping[str, Spread]) -> tuple[str, ...]:
    if baseline.target is None:
        return ()
    ratio = baseline.target.ratio(spreads[figure.name].middle, spreads[baseline.name].middle)
    return f"{ratio:.2f}×", str(baseline.target), "yes" if baseline.target.is_reached(ratio) else "NO"
