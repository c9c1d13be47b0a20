"""Intervals and tests against every resample, every sign, and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from seqlab.report.statistics import MOST_EXACT, bootstrap_interval, least_p_value, sign_flip_test

VALUES = [0.61, 0.55, 0.7, 0.64]


def test_the_interval_is_that_of_all_resamples() -> None:
    means = [float(np.mean(drawn)) for drawn in itertools.product(VALUES, repeat=len(VALUES))]
    interval = bootstrap_interval(VALUES)
    assert interval is not None
    # one resample in 256 moves a quantile by a gap of the means near it, at most 0.008; 10,000 draws are off by less than two
    assert interval == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.008)


def test_the_interval_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")
    values = np.random.default_rng(1).normal(3, 2, 12)
    theirs = stats.bootstrap([values], np.mean, method="percentile", n_resamples=10_000, random_state=2).confidence_interval
    # the quantile of 10,000 draws has a standard error of 2.7 % of the mean's, here 0.6; four of them
    assert bootstrap_interval(list(values)) == pytest.approx(tuple(theirs), abs=0.06)


def test_an_interval_is_repeated_and_needs_two_values() -> None:
    assert bootstrap_interval(VALUES) == bootstrap_interval(VALUES)
    assert bootstrap_interval([0.5]) is None
    assert bootstrap_interval([0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize("differences", [[1.0, 2.0, 3.0, 4.0, 5.0], [0.3, -0.1, 0.2, 0.4, 0.1, -0.3], [0.1] * 7, [0.0] * 5, [0.2, -0.2, 0.1, -0.1, 0.3]])
def test_the_sign_flips_are_those_of_every_sign_and_of_scipy(differences: list[float]) -> None:
    sums = [round(sum(s * d for s, d in zip(signs, differences, strict=True)), 9) for signs in itertools.product([1, -1], repeat=len(differences))]
    expected = sum(abs(one) >= abs(round(sum(differences), 9)) for one in sums) / len(sums)
    assert sign_flip_test(differences) == expected
    stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")
    theirs = stats.permutation_test([np.array(differences)], np.mean, permutation_type="samples", n_resamples=np.inf)
    if any(differences):  # of nothing but zeros scipy's answer is 1, too, but with a warning
        assert sign_flip_test(differences) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_no_p_value_below_five_pairs_and_none_of_zero_above_twenty() -> None:
    assert sign_flip_test([1.0] * 4) is None
    assert sign_flip_test([1.0] * 5) == least_p_value(5) == 2 / 32
    # all of them beyond every draw
    assert sign_flip_test([1.0] * (MOST_EXACT + 1)) == least_p_value(MOST_EXACT + 1) == pytest.approx(1 / 10_001)
    noise = np.random.default_rng(0).normal(size=MOST_EXACT + 1)
    sampled, exact = sign_flip_test(list(noise)), sign_flip_test(list(noise[:-1]))
    assert sampled is not None
    assert exact is not None
    assert sampled == pytest.approx(exact, abs=0.1)  # one point more, of 21
