"""A figure: what is measured, what it is measured against, and the ratio that is to be reached. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.stopwatch import Course


@dataclass(frozen=True, slots=True)
class Spread:
    """How long the runs of one course took, in seconds."""

    least: float
    middle: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """Return the minimum, the median and the 99th percentile, each a run that was (the nearest rank).

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(least=1.0, middle=2.0, most=3.0)
        """
        ordered = sorted(seconds)
        return cls(ordered[0], _percentile(ordered, 50), _percentile(ordered, 99))


@dataclass(frozen=True, slots=True)
class TimesFaster:
    """The baseline takes at least so many times as long as what is measured.

    >>> TimesFaster(25).ratio(measured=2.0, baseline=60.0), TimesFaster(25).is_reached(30.0)
    (30.0, True)
    """

    factor: float

    def ratio(self, measured: float, baseline: float) -> float:
        return baseline / measured

    def is_reached(self, ratio: float) -> bool:
        return ratio >= self.factor

    def __str__(self) -> str:
        return f"≥ {self.factor:g}×"


@dataclass(frozen=True, slots=True)
class TimesAsLong:
    """What is measured takes at most so many times as long as the baseline.

    >>> TimesAsLong(1.2).ratio(measured=3.0, baseline=2.0), TimesAsLong(1.2).is_reached(1.5)
    (1.5, False)
    """

    factor: float

    def ratio(self, measured: float, baseline: float) -> float:
        return measured / baseline

    def is_reached(self, ratio: float) -> bool:
        return ratio <= self.factor

    def __str__(self) -> str:
        return f"≤ {self.factor:g}×"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What else is timed in the same rounds; without a target it is for information."""

    name: str
    course: Course
    target: TimesFaster | TimesAsLong | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A course whose time is to be known, and its baselines."""

    name: str
    course: Course
    baselines: Sequence[Baseline]
    warm_ups: int
    rounds: int

    @property
    def courses(self) -> dict[str, Course]:
        """Everything that is run once a round, by name."""
        return {self.name: self.course, **{baseline.name: baseline.course for baseline in self.baselines}}

    def is_reached(self, spreads: Mapping[str, Spread]) -> bool:
        """Tell whether every target is reached, medians compared."""
        measured = spreads[self.name].middle
        return all(
            baseline.target.is_reached(baseline.target.ratio(measured, spreads[baseline.name].middle))
            for baseline in self.baselines
            if baseline.target
        )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]
