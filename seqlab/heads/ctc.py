"""Labels without their places in time. Dimension key: B batch, T time, I the encoder's width, V classes, U labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BLANK = 0  # the class of no label, which vocabularies keep for padding


class CTCHead(nn.Module):
    """Connectionist temporal classification: P(labels) = Σ over all paths of Π_t p_t(path_t), a path being the labels with
    blanks and repetitions, which collapse: repetitions become one, then blanks go.

    Source: A. Graves et al., 2006, "Connectionist temporal classification". The sum is torch.nn.functional.ctc_loss.
    Class 0 is the blank.
    """

    def __init__(self, input_size: int, output_size: int, dropout: float = 0.0) -> None:
        """output_size: classes, the blank among them."""
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"head dropout is {dropout}; expected a probability in [0, 1).")
        self.input_size = input_size
        self.output_size = output_size
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(input_size, output_size)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I) -> log-probabilities (B, T, V) of the classes at each step, in float32 at least: they are summed over many steps."""
        scores = self.linear(self.dropout(y))
        return scores.log_softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))

    def losses(self, y: Tensor, targets: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I), targets (B, U) with zeros past their end -> −log P(targets) of each row (B,), in nats.

        Raises ValueError naming the row where the input is too short for its labels, which would cost an infinite loss.
        """
        return ctc_losses(self(y, lengths), targets, lengths)


def ctc_losses(log_p: Tensor, targets: Tensor, lengths: Tensor | None = None) -> Tensor:
    """log-probabilities (B, T, V), targets (B, U) with zeros past their end -> −log P of each row (B,)."""
    batch, steps = log_p.shape[:2]
    if lengths is None:
        lengths = torch.full((batch,), steps, device=log_p.device)
    counts = (targets != BLANK).sum(1)
    inside = torch.arange(targets.shape[1], device=targets.device) < counts[:, None]
    if bool((inside != (targets != BLANK)).any()):
        row = int((inside != (targets != BLANK)).any(1).nonzero()[0])
        raise ValueError(f"the labels of row {row} have a 0, the blank, between them; expected zeros past their end alone.")
    least = least_steps(targets)
    short = lengths < least
    if bool(short.any()):
        row = int(short.nonzero()[0])
        raise ValueError(
            f"row {row} has {int(lengths[row])} steps for {int(counts[row])} labels; expected at least {int(least[row])}, "
            "a step for each label and one between equal neighbours. Shorten time less, or leave the row out."
        )
    return nn.functional.ctc_loss(log_p.transpose(0, 1), targets, lengths, counts, BLANK, reduction="none")


def least_steps(targets: Tensor) -> Tensor:
    """targets (B, U) with zeros past their end -> the fewest steps of a path (B,): a blank must stand between equal labels."""
    labels = targets != BLANK
    return labels.sum(1) + ((targets[:, 1:] == targets[:, :-1]) & labels[:, 1:]).sum(1)
