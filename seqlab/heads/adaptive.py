"""A softmax over many classes, most of them rare. Dimension key: B batch, T time, I the encoder's width, V classes, N valid steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from seqlab.executors import lengths_to_mask
from seqlab.heads.with_loss import HeadWithLoss

PADDING = -1


class AdaptiveHead(HeadWithLoss):
    """log p of every class: the `cutoffs[0]` most frequent by themselves, the others by their cluster and then within it.

    Classes must be numbered by falling frequency, as a Vocabulary does. Cluster i = 1, 2, … reads I // div_value^i features,
    so that rare classes cost little; a training step computes the clusters that occur in its targets, and valid steps alone.
    Source: E. Grave et al., 2017, "Efficient softmax approximation for GPUs", through torch.nn.AdaptiveLogSoftmaxWithLoss.
    """

    def __init__(self, input_size: int, output_size: int, cutoffs: Sequence[int], div_value: float = 4.0, dropout: float = 0.0) -> None:
        """cutoffs: where each cluster begins, rising, in 1..V−1; for 10,000 words of PTB e.g. [2000, 6000]."""
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"head dropout is {dropout}; expected a probability in [0, 1).")
        cutoffs = list(cutoffs)
        if not cutoffs or cutoffs != sorted(set(cutoffs)) or cutoffs[0] < 1 or cutoffs[-1] >= output_size:
            raise ValueError(f"cutoffs are {cutoffs}; expected rising numbers in 1..{output_size - 1}, below the {output_size} classes. Lower or drop some.")
        if div_value < 1 or input_size // div_value ** len(cutoffs) < 1:
            raise ValueError(
                f"div_value is {div_value} with {len(cutoffs)} clusters and input_size={input_size}; expected at least 1, and at least one feature "
                "for the last cluster. Lower div_value, use fewer cutoffs or a wider encoder."
            )
        self.input_size = input_size
        self.output_size = output_size
        self.dropout = nn.Dropout(dropout)
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(input_size, output_size, cutoffs, div_value)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I) -> log-probabilities (B, T, V), all of them: the loss needs far fewer."""
        if lengths is not None:
            y = torch.where(lengths_to_mask(lengths, y.shape[1])[..., None], y, 0.0)
        return self._without_autocast(self.softmax.log_prob, y.flatten(0, 1)).unflatten(0, y.shape[:2])

    def losses(self, y: Tensor, targets: Tensor, lengths: Tensor | None = None) -> Tensor:
        """−log p(target) of each valid step, (N,), row by row."""
        if lengths is None:
            y, targets = y.flatten(0, 1), targets.flatten()
        else:
            mask = lengths_to_mask(lengths, y.shape[1])
            y, targets = y[mask], targets[mask]
        if targets.device.type == "cpu":  # elsewhere looking would wait for the device
            wrong = targets[(targets < 0) | (targets >= self.output_size)]
            if len(wrong):
                raise ValueError(f"targets hold class {int(wrong[0])}; expected 0..{self.output_size - 1}.")
        return -self._without_autocast(lambda y: self.softmax(y, targets).output, y)

    def predict(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is None:
            return self._without_autocast(self.softmax.predict, y.flatten(0, 1)).unflatten(0, y.shape[:2])
        mask = lengths_to_mask(lengths, y.shape[1])
        classes = self._without_autocast(self.softmax.predict, y[mask])
        return torch.full(mask.shape, PADDING, device=y.device).masked_scatter(mask, classes)

    def _without_autocast(self, function: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
        """function(dropout(y)) in the weights' precision: torch's module mixes dtypes under autocast, and fails."""
        with torch.autocast(y.device.type, enabled=False):
            return function(self.dropout(y).to(self.softmax.head.weight.dtype))
