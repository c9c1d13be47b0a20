"""The NAB score against a scorer that goes row by row at every threshold; on the real labels, detectors whose score is known."""

from __future__ import annotations

import math
import random

import pytest
import torch

from seqlab.metrics import PROFILES, NABScore, Profile, window_rows

Series = list[tuple[list[float], list[tuple[int, int]]]]


def sigmoid(x: float) -> float:
    return 2 / (1 + math.exp(5 * x)) - 1


def worth(series: Series, profile: Profile, threshold: float) -> float:
    """Of all series at one threshold, not normalised."""
    total = 0.0
    for scores, windows in series:
        probation = min(int(len(scores) * 0.15), 750)
        alarms = [row for row in range(probation, len(scores)) if scores[row] >= threshold]
        for first, last in windows:
            inside = [row for row in alarms if first <= row <= last]
            if inside:
                total += profile.true_positive * sigmoid(-(last - inside[0] + 1) / (last - first + 1)) / sigmoid(-1)
            elif last >= probation:
                total -= profile.false_negative
        for row in alarms:
            if any(first <= row <= last for first, last in windows):
                continue
            before = [window for window in windows if window[1] < row]
            behind = (row - before[-1][1]) / (before[-1][1] - before[-1][0]) if before else 3.0
            total += profile.false_positive * (sigmoid(behind) if behind < 3 else -1.0)
    return total


def reference(series: Series, profile: Profile) -> float:
    """100 times the best over all thresholds, from the silent detector to one that finds all at once."""
    thresholds = {math.inf, *(score for scores, _ in series for score in scores)}
    num_windows = sum(len(windows) for _, windows in series)
    null = worth(series, profile, math.inf)
    best = max(worth(series, profile, threshold) for threshold in thresholds)
    return 100 * (best - null) / (num_windows * profile.true_positive - null)


def made(seed: int) -> Series:
    """A few short series; scores from few values, so that rows alarm together, and higher where something is wrong."""
    draw = random.Random(seed)
    series = []
    for _ in range(3):
        length = draw.randint(40, 60)
        edges = sorted(draw.sample(range(10, length), 4))
        windows = [(edges[0], edges[1]), (edges[2], edges[3])][: draw.randint(1, 2)]
        scores = [draw.randint(0, 12) / 10 + (0.2 if any(a <= row <= b for a, b in windows) else 0.0) for row in range(length)]
        series.append((scores, windows))
    return series


def score(series: Series) -> dict[str, float]:
    metric = NABScore()
    for scores, windows in series:
        metric.update(torch.tensor(scores, dtype=torch.float64), windows)
    return {name.removeprefix("nab_"): value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize("seed", range(12))
def test_the_best_of_all_thresholds_scored_row_by_row(seed: int) -> None:
    series = made(seed)
    found = score(series)
    assert found == pytest.approx({name: reference(series, profile) for name, profile in PROFILES.items()})
    metric = NABScore()
    for scores, windows in series:
        metric.update(torch.tensor(scores, dtype=torch.float64), windows)
    num_windows = sum(len(windows) for _, windows in series)
    for name, threshold in metric.thresholds().items():  # what is reported as the threshold has that score
        null = worth(series, PROFILES[name], math.inf)
        at = 100 * (worth(series, PROFILES[name], threshold) - null) / (num_windows * PROFILES[name].true_positive - null)
        assert at == pytest.approx(found[name])


def alarms_at(*rows: int, length: int = 100) -> torch.Tensor:
    scores = torch.zeros(length)
    scores[list(rows)] = 1.0
    return scores


def standard(scores: torch.Tensor, windows: list[tuple[int, int]]) -> float:
    metric = NABScore()
    metric.update(scores, windows)
    return metric.compute()["nab_standard"].item()


def test_by_hand() -> None:
    window = [(40, 49)]
    assert standard(torch.zeros(100), window) == 0.0  # one threshold alarms everywhere, none is better
    assert standard(alarms_at(40), window) == pytest.approx(100)
    assert standard(alarms_at(40, 45, 49), window) == pytest.approx(100)  # later alarms in a window are worth nothing
    assert standard(alarms_at(45), window) == pytest.approx(50 * (1 + sigmoid(-0.5) / sigmoid(-1)))
    assert standard(alarms_at(40, 52), window) == pytest.approx(100 + 50 * 0.11 * sigmoid(3 / 9))  # a little late
    assert standard(alarms_at(40, 76), window) == pytest.approx(100 - 50 * 0.11, rel=1e-12)  # three widths late: −1, where σ(3) is 6e-7 above
    assert standard(alarms_at(40, 20), window) == pytest.approx(100 - 50 * 0.11)  # no window before
    assert standard(alarms_at(40, 3), window) == pytest.approx(100)  # in the probation: rows 0..14
    assert standard(alarms_at(20), window) == 0.0  # best never to alarm


def test_the_probation_is_750_rows_at_most() -> None:
    window = [(6000, 6099)]
    assert standard(alarms_at(749, 6000, length=10_000), window) == pytest.approx(100)
    assert standard(alarms_at(750, 6000, length=10_000), window) == pytest.approx(100 - 50 * 0.11)


def test_a_window_in_the_probation_is_not_asked_for() -> None:
    assert standard(alarms_at(40), [(5, 9), (40, 49)]) == pytest.approx(100)
    assert standard(alarms_at(15), [(10, 19)]) == pytest.approx(50 * (1 + sigmoid(-0.5) / sigmoid(-1)))  # partly: from row 15 on


def test_never_alarming_is_the_threshold_where_nothing_is_better() -> None:
    metric = NABScore()
    metric.update(alarms_at(20), [(40, 49)])
    assert set(metric.thresholds().values()) == {math.inf}


def test_series_may_come_from_several_processes() -> None:
    series = made(1)
    one, other = NABScore(), NABScore()
    for metric, (scores, windows) in zip((one, other, other), series, strict=True):
        metric.update(torch.tensor(scores, dtype=torch.float64), windows)
    one.merge_state(other)
    assert one.compute()["nab_standard"].item() == pytest.approx(score(series)["standard"])


def test_windows_from_times_are_the_first_rows_of_those_times() -> None:
    assert window_rows(["a", "b", "b", "c", "c", "d"], [("b", "c"), ("d", "d")]) == [(1, 3), (5, 5)]
    with pytest.raises(ValueError, match="a window begins or ends at e; expected one of the 2 times"):
        window_rows(["a", "b"], [("a", "e")])


def test_errors_say_what_is_wrong() -> None:
    for windows in ([(5, 4)], [(5, 10)], [(-1, 4)], [(4, 6), (6, 8)], [(6, 8), (1, 2)]):
        with pytest.raises(ValueError, match=r"expected rows in 0..9, first before last, in order and apart"):
            NABScore().update(torch.zeros(10), windows)
    for wrong in (torch.tensor([0.0, math.nan]), torch.tensor([0.0, math.inf]), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match=r"expected a finite number for each step"):
            NABScore().update(wrong, [])
    metric = NABScore()
    metric.update(torch.zeros(10), [])
    with pytest.raises(ValueError, match=r"no series has a window past its probation"):
        metric.compute()
