"""How sure one can be of a mean over few seeds, and of a difference between two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
RESAMPLES = 10_000
LEAST_FOR_TEST = 5  # pairs; with fewer no p-value can be below 0.125, and the points themselves say more
MOST_EXACT = 20  # pairs whose 2^n signs are all tried


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The percentile bootstrap interval of the mean at LEVEL; None for a single value, which says nothing of the spread.

    From RESAMPLES resamples drawn with seed 0, so that a report can be repeated. Of few values it is too narrow rather than
    too wide. Source: B. Efron and R. Tibshirani, 1993, "An introduction to the bootstrap", section 13.3.
    """
    if len(values) < 2:
        return None
    points = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(0).integers(len(points), size=(RESAMPLES, len(points)))
    low, high = np.quantile(points[drawn].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def least_p_value(count: int) -> float:
    """What `sign_flip_test` gives of `count` differences that all have one sign: it can be no less."""
    return 2 / 2**count if count <= MOST_EXACT else 1 / (RESAMPLES + 1)


def sign_flip_test(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of "the sign of each paired difference is a coin's", by the mean; None below LEAST_FOR_TEST pairs.

    All 2^n signs are tried up to MOST_EXACT pairs; above, RESAMPLES of them, drawn with seed 0 and counted with the
    observed one (B. Phipson and G. K. Smyth, 2010, "Permutation p-values should never be zero").
    Source: R. A. Fisher, 1935, "The design of experiments", section 21.
    """
    count = len(differences)
    if count < LEAST_FOR_TEST:
        return None
    points = np.asarray(differences, dtype=np.float64)
    if exact := count <= MOST_EXACT:
        sums = np.zeros(1)
        for point in points:  # every sum of ±d_1 … ±d_n, without a table of the signs
            sums = np.concatenate([sums + point, sums - point])
    else:
        sums = np.random.default_rng(0).choice([-1.0, 1.0], size=(RESAMPLES, count)) @ points
    rounding = 1e-12 * np.abs(points).sum()  # sums that are equal but for the order of adding are equal
    extreme = int((np.abs(sums) >= abs(points.sum()) - rounding).sum())
    return extreme / len(sums) if exact else (extreme + 1) / (len(sums) + 1)
