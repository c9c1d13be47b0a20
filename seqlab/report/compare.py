"""Two cells over the seeds that both were trained with."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from seqlab.registry import unknown
from seqlab.report.rows import Row
from seqlab.report.statistics import LEAST_FOR_TEST, MOST_EXACT, bootstrap_interval, least_p_value, sign_flip_test


@dataclass
class Comparison:
    """first − second on one data set. points: (seed, first, second), by seed."""

    data: str
    first: Row
    second: Row
    points: list[tuple[int, float, float]]

    @property
    def differences(self) -> list[float]:
        return [a - b for _, a, b in self.points]

    @property
    def mean(self) -> float:
        return fmean(self.differences)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the mean difference, over the seeds as pairs; None with too few of them."""
        return bootstrap_interval(self.differences) if len(self.points) >= LEAST_FOR_TEST else None

    @property
    def p_value(self) -> float | None:
        return sign_flip_test(self.differences)

    @property
    def verdict(self) -> str:
        """What may be said of the difference."""
        count, p = len(self.points), self.p_value
        if p is None:
            return f"{count} shared seed{'s' if count > 1 else ''}: too few for a test, which takes {LEAST_FOR_TEST}; look at the points"
        test = "exact sign-flip permutation test" if count <= MOST_EXACT else "sign-flip permutation test, sampled"
        return f"p = {p:.3g}, {test} over {count} shared seeds (the least it could be is {least_p_value(count):.2g})"


def compare(rows: list[Row], first: str, second: str) -> list[Comparison]:
    """One comparison for each data set, metric and settings that both have; names are those of cells, or of whole rows.

    Raises ValueError for a name that no row has, and when nothing can be paired: with what there is.
    """
    found = {}
    for name in (first, second):
        found[name] = [row for row in rows if name in (row.cell, row.name)]
        if not found[name]:
            raise ValueError(unknown("cell of these runs", name, sorted({known for row in rows for known in (row.cell, row.name)})))
    if first == second:
        raise ValueError(f"--compare names {first!r} twice; expected two cells.")
    pairs = [pair for a in found[first] if (pair := _partner(a, found[first], found[second])) is not None]
    shared = {id(a): sorted(a.points.keys() & b.points.keys()) for a, b in pairs}
    result = [Comparison(a.data, a, b, [(seed, a.points[seed][0], b.points[seed][0]) for seed in shared[id(a)]]) for a, b in pairs if shared[id(a)]]
    if not result:
        have = "; ".join(f"{row.name} on {row.data}, {row.metric}: seeds {', '.join(map(str, row.points))}" for row in [*found[first], *found[second]])
        raise ValueError(
            f"{first!r} and {second!r} share no seed on equal data and metric ({have}). "
            "Train both with the same seeds; where a cell has several rows, name them whole, settings and all."
        )
    return result


def _partner(row: Row, firsts: list[Row], seconds: list[Row]) -> tuple[Row, Row] | None:
    """The second's row on the same data: the only one where both have one, else the one with equal settings."""

    def here(rows: list[Row]) -> list[Row]:
        return [other for other in rows if (other.data, other.metric) == (row.data, row.metric)]

    mine, theirs = here(firsts), here(seconds)
    if len(mine) == len(theirs) == 1:
        return row, theirs[0]
    equal = [other for other in theirs if other.settings == row.settings]
    return (row, equal[0]) if len(equal) == 1 else None
