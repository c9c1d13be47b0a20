"""Windows of a series and what follows them. Dimension key: N rows, T window, H horizon, I inputs, V series, C covariates, B windows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqlab.data.base import Batch, Example


class WindowSplit(Dataset[Example]):
    """All windows of `window` steps, each with the `horizon` steps after it as its target.

    inputs (N, I), finite, the first V columns the past of the series; targets (N, V), NaN where missing. first, last: the rows
    in which targets begin, both ends included; the window lies before, and may reach back before `first`.
    each_alone: a batch holds a row for each series of each window, with that series and the covariates as its inputs; an
    index still is a window.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, window: int, horizon: int, rows: range, each_alone: bool = False) -> None:
        """rows: in which row the target of each window begins."""
        self.window, self.horizon, self.each_alone = window, horizon, each_alone
        self.num_series = targets.shape[1]
        self.starts = torch.tensor(rows, dtype=torch.long)
        self.pasts = inputs.unfold(0, window, 1)  # (N − T + 1, I, T), a view
        self.futures = targets.unfold(0, horizon, 1)  # (N − H + 1, V, H)
        missing = targets.isnan()
        self.missing = missing.unfold(0, window, 1) if bool(missing.any()) else None  # (N − T + 1, V, T)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Example:
        """One window with all its series."""
        start = int(self.starts[index])
        return Example(self.pasts[start - self.window].T, self.futures[start].T)

    def __getitems__(self, indices: list[int]) -> Batch:
        starts = self.starts[indices]
        pasts, futures = self.pasts[starts - self.window], self.futures[starts]
        missing = None if self.missing is None else self.missing[starts - self.window]
        if self.each_alone:
            pasts = alone(pasts, self.num_series)
            futures = futures.flatten(0, 1)[:, None]
            missing = None if missing is None else missing.flatten(0, 1)[:, None]
        missing = None if missing is None else missing.transpose(1, 2)
        return Batch(pasts.transpose(1, 2).contiguous(), futures.transpose(1, 2).contiguous(), missing=missing)

    def contents(self) -> list[int]:
        """A number for each window and what follows it, equal where they are equal."""
        pasts, futures = self.pasts.numpy(), self.futures.numpy()
        return [hash((pasts[start - self.window].tobytes(), futures[start].tobytes())) for start in self.starts.tolist()]


def measured(batch: Batch, num_series: int) -> Tensor:
    """The series among the inputs (B, T, V), NaN where a value stands in for one that was not measured: nothing is to be learned from it."""
    series = batch.inputs[..., :num_series]
    return series if batch.missing is None else series.masked_fill(batch.missing, torch.nan)


def alone(pasts: Tensor, num_series: int) -> Tensor:
    """(B, V + C, T) -> (B V, 1 + C, T): each series with the covariates, a row of its own."""
    series, covariates = pasts[:, :num_series, None], pasts[:, None, num_series:]
    return torch.cat([series, covariates.expand(-1, num_series, -1, -1)], 2).flatten(0, 1)
