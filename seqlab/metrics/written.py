"""Sequences written against sequences expected. Dimension key: B batch, U symbols, padded with zeros."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric


class WrittenMetrics(Metric):
    """exact_match, the share of rows written exactly; symbol_error_rate, edits over all rows per expected symbol (corpus-level).

    Rows of ids (B, U), 0 past their end; predictions and targets may differ in U. An edit inserts, deletes or replaces.
    """

    full_state_update = False
    exact: Tensor
    rows: Tensor
    edits: Tensor
    symbols: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("exact", "rows", "edits", "symbols"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """predictions (B, U), targets (B, U')."""
        if len(predictions) != len(targets) or predictions.dim() != 2 or targets.dim() != 2:
            raise ValueError(f"predictions and targets have shapes {tuple(predictions.shape)} and {tuple(targets.shape)}; expected as many rows of ids.")
        for found, right in zip(predictions.tolist(), targets.tolist(), strict=True):
            found, right = [i for i in found if i], [i for i in right if i]
            self.exact += found == right
            self.edits += edit_distance(found, right)
            self.symbols += len(right)
            self.rows += 1

    def compute(self) -> dict[str, Tensor]:
        return {"exact_match": self.exact / self.rows.clamp(min=1), "symbol_error_rate": self.edits / self.symbols.clamp(min=1)}


def error_rates(written: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """wer and cer: edits as shares of the references' words, which spaces part, and of their characters (corpus-level)."""
    edits, size = {"wer": 0, "cer": 0}, {"wer": 0, "cer": 0}
    for found, right in zip(written, references, strict=True):
        for name, parts in (("wer", (found.split(), right.split())), ("cer", (found, right))):
            edits[name] += edit_distance(*parts)
            size[name] += len(parts[1])
    return {name: edits[name] / max(1, size[name]) for name in edits}


def edit_distance(found: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and replacements that turn one into the other (V. Levenshtein, 1966)."""
    before = list(range(len(right) + 1))
    for place, symbol in enumerate(found, 1):
        row = [place]
        for other, wanted in enumerate(right, 1):
            row.append(min(before[other] + 1, row[-1] + 1, before[other - 1] + (symbol != wanted)))
        before = row
    return before[-1]
