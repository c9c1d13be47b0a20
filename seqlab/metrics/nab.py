"""The score of the Numenta Anomaly Benchmark. Dimension key: T time, E events."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

PROBATION, LONGEST_PROBATION = 0.15, 750  # share of a series, and rows: 15 % of 5,000


@dataclass(frozen=True)
class Profile:
    """What a window found, a false alarm and a window missed weigh."""

    true_positive: float
    false_positive: float
    false_negative: float


PROFILES = {"standard": Profile(1.0, 0.11, 1.0), "reward_low_FP_rate": Profile(1.0, 0.22, 1.0), "reward_low_FN_rate": Profile(1.0, 0.11, 2.0)}


def window_rows(times: Sequence[Hashable], windows: Sequence[tuple[Hashable, Hashable]]) -> list[tuple[int, int]]:
    """Windows given by their first and last time -> by their first and last row: the first row with that time, as in NAB."""
    first = {time: row for row, time in reversed(list(enumerate(times)))}
    for window in windows:
        for time in window:
            if time not in first:
                raise ValueError(
                    f"a window begins or ends at {time}; expected one of the {len(times)} times of the series. Check that labels and series match."
                )
    return [(first[start], first[end]) for start, end in windows]


class NABScore(Metric):
    """100 (s − s₀) / (s₁ − s₀) for each profile, with s the best score of any one threshold for all series: 0 for a detector that
    never alarms (s₀), 100 for one that alarms in the first row of every window and nowhere else (s₁).

    A row alarms when its anomaly score reaches the threshold. σ(x) = 2 / (1 + exp(5x)) − 1. For a window of rows a..b:
    the first alarm, in row r, is worth σ(−(b − r + 1) / (b − a + 1)) / σ(−1) of `true_positive`, and later ones nothing;
    without an alarm it costs `false_negative`. Outside all windows each alarm is worth σ((r − b) / (b − a)) < 0 of
    `false_positive`, with a..b the last window before it, and −1 from three such widths on or with no window before it.
    The rows of the probation, the first 15 % of a series and at most 750, never alarm; a window wholly among them counts for nothing.
    Source: A. Lavin and S. Ahmad, 2015, "Evaluating real-time anomaly detection algorithms", section II.C; where the paper leaves
    it open (the + 1, the division by σ(−1), the limit of the probation) as the benchmark's program does.
    Differs from that program in that false alarms after a window of a single row, where it divides by zero, count one row as its width.
    ValueError when the corpus has no window, and hence no score.
    """

    full_state_update = False
    scores: list[Tensor]
    gains: list[Tensor]
    findings: list[Tensor]
    alarms: list[Tensor]
    num_windows: Tensor

    def __init__(self, profiles: Mapping[str, Profile] = PROFILES) -> None:
        super().__init__()
        self.profiles = dict(profiles)
        # What a threshold that falls to `scores` adds: to the worth of windows found, to their number, and to the cost of alarms.
        # Kept as events and not as sums, since the threshold is chosen for the whole corpus at its end.
        for name in ("scores", "gains", "findings", "alarms"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self.add_state("num_windows", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, scores: Tensor, windows: Sequence[tuple[int, int]]) -> None:
        """One series: scores (T,), higher is more anomalous; windows, first and last row of each, in order and apart."""
        scores = scores.detach().double()
        if scores.dim() != 1 or not bool(scores.isfinite().all()):
            raise ValueError(
                f"the scores have shape {tuple(scores.shape)} and {int((~scores.isfinite()).sum())} are not finite; expected a finite number for each "
                "step, (time,)."
            )
        length = len(scores)
        edges = [row for window in windows for row in window]
        if edges != sorted(edges) or any(a == b for a, b in zip(edges[1:-1:2], edges[2::2], strict=True)) or not all(0 <= row < length for row in edges):
            raise ValueError(f"the windows are {list(windows)}; expected rows in 0..{length - 1}, first before last, in order and apart.")
        probation = min(math.floor(PROBATION * length), LONGEST_PROBATION)
        rows = torch.arange(length, device=scores.device)
        past = torch.full_like(scores, 3.0)  # in widths of the last window, how far behind its end
        outside = rows >= probation
        for first, last in windows:
            past[last + 1 :] = (rows[last + 1 :] - last) / max(last - first, 1)
            outside[first : last + 1] = False
            self._add_window(scores, rows, max(first, probation), first, last)
        past = torch.where(past >= 3.0, math.inf, past)
        cost = _sigmoid(past[outside])
        self._add(scores[outside], torch.zeros_like(cost), torch.zeros_like(cost), cost)

    def _add_window(self, scores: Tensor, rows: Tensor, start: int, first: int, last: int) -> None:
        """start: the first row of the window that may alarm."""
        if start > last:
            return
        self.num_windows += 1
        highest, order = scores[start : last + 1].sort(descending=True, stable=True)
        width = last - first + 1
        worth = _sigmoid(-(last - rows[start : last + 1][order] + 1) / width) / _sigmoid(torch.tensor(-1.0, dtype=torch.float64))
        best = worth.cummax(0).values  # the first alarm is worth most, and alone counts
        gains = torch.diff(best, prepend=torch.zeros_like(best[:1]))
        findings = torch.zeros_like(best)
        findings[0] = 1.0
        new = gains > 0
        self._add(highest[new], gains[new], findings[new], torch.zeros_like(gains[new]))

    def _add(self, scores: Tensor, gains: Tensor, findings: Tensor, alarms: Tensor) -> None:
        for name, values in (("scores", scores), ("gains", gains), ("findings", findings), ("alarms", alarms)):
            getattr(self, name).append(values)

    def compute(self) -> dict[str, Tensor]:
        return {f"nab_{name}": scores.max() for name, scores in self.curves()[1].items()}

    def thresholds(self) -> dict[str, float]:
        """{profile: the threshold that its score stands for}, infinite when it is best never to alarm. Of equals the highest."""
        thresholds, curves = self.curves()
        return {name: thresholds[scores.argmax()].item() for name, scores in curves.items()}

    def curves(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Every threshold that makes a difference, falling from infinity, (E,), and {profile: the score at each, (E,)}."""
        if not self.num_windows:
            raise ValueError("no series has a window past its probation; expected at least one in the corpus to score a detector by. Give labelled series.")
        scores, order = dim_zero_cat(self.scores).sort(descending=True)
        last = torch.ones_like(scores, dtype=torch.bool)
        last[:-1] = scores[:-1] != scores[1:]  # rows with one score alarm together
        gains, findings, alarms = (dim_zero_cat(part)[order].cumsum(0)[last] for part in (self.gains, self.findings, self.alarms))
        curves = {}
        for name, profile in self.profiles.items():
            above_null = profile.true_positive * gains + profile.false_positive * alarms + profile.false_negative * findings
            perfect = (profile.true_positive + profile.false_negative) * self.num_windows
            curves[name] = torch.cat([scores.new_zeros(1), 100 * above_null / perfect])
        return torch.cat([scores.new_tensor([math.inf]), scores[last]]), curves


def _sigmoid(x: Tensor) -> Tensor:
    return 2 * torch.sigmoid(-5 * x.double()) - 1
