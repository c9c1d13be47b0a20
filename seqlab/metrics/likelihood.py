"""How unlikely an error is after those before it. Dimension key: T time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TAIL = 0.05  # share of the past errors that the tail is fitted to
FEWEST = 50  # errors before the first that is scored
EVERY = 20  # rows from one fit to the next


def tail_scores(errors: Tensor) -> Tensor:
    """errors (T,), none negative -> −log of the probability of an error as large, by the errors before it alone, (T,); 0 for the first FEWEST.

    The largest TAIL of the past errors, above the quantile u, is taken to follow a generalised Pareto distribution, with shape and
    scale by the method of moments, the shape within 0 and 0.45: P(e) = TAIL (1 + shape (e − u) / scale)^(−1 / shape). Below u the
    score rises evenly from 0. An error that k > 0 of n past ones reach is not called rarer than (k + 1) / (n + 1), the share that was
    counted: no smooth tail fits spikes that come once a day, all of one height. Fitted and counted anew every EVERY rows.
    Source: A. Siffer et al., 2017, "Anomaly detection in streams with extreme value theory", section 3, with moments for likelihood;
    of the error of a forecast, as S. Ahmad et al., 2017, "Unsupervised real-time anomaly detection for streaming data", section 3.2.
    The count is not theirs.
    """
    errors = errors.double()
    scores = torch.zeros_like(errors)
    for start in range(FEWEST, len(errors), EVERY):
        past, now = errors[:start].sort().values, errors[start : start + EVERY]
        below, part = divmod((1 - TAIL) * (start - 1), 1)
        edge = past[int(below)].lerp(past[int(below) + 1], part)
        excess = past[past > edge] - edge
        least = 0.02 * past.mean() + 1e-6  # a series that was forecast exactly has no tail
        mean = torch.clamp(excess.mean(), min=least) if len(excess) else least
        shape = 0.0
        if len(excess) >= 5:
            shape = min(max(0.5 * (1 - float(mean.square() / excess.var().clamp(min=1e-12))), 0.0), 0.45)
        beyond = (now - edge).clamp(min=0) / (mean * (1 - shape)).clamp(min=least)
        above = beyond if shape < 1e-6 else torch.log1p(shape * beyond) / shape
        reached = start - torch.searchsorted(past, now)  # how many of the past are as large
        counted = torch.where(reached > 0, -torch.log((reached + 1) / (start + 1)), torch.inf)
        scores[start : start + EVERY] = torch.minimum(-math.log(TAIL) * (now / (edge + 1e-9)).clamp(max=1.0) + above, counted)
    return scores


def first_of_burst(scores: Tensor, rest: int) -> Tensor:
    """scores (T,) -> the same where a score is above all of the `rest` rows before it, and 0 elsewhere: an event is told once."""
    if not rest:
        return scores
    # padded[t : t + rest] are the rest rows before row t
    padded = torch.nn.functional.pad(scores[:-1], (rest, 0), value=-math.inf)
    before = torch.nn.functional.max_pool1d(padded[None, None], rest, 1)[0, 0]
    return torch.where(scores > before, scores, 0.0)
