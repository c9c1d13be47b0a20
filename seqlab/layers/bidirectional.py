"""Two directions of time in one part. Dimension key: B batch, T time, I input_size, O output_size."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells.base import State
from seqlab.layers.contract import Lengths, SequenceModule, add_prefix, check_input, check_is_part, check_parts, take_prefix
from seqlab.registry import unknown

MERGES = ("concat", "sum", "mean", "product")


class Bidirectional(SequenceModule):
    """One part reads forward in time, the other backward from each row's own last step; y merges both.

    Source: M. Schuster and K. K. Paliwal, 1997, "Bidirectional recurrent neural networks".
    merge: concat (O = both widths), sum, mean or product (equal widths). State leaves are forward.* and backward.*.
    """

    def __init__(self, forward: SequenceModule, backward: SequenceModule, merge: str = "concat") -> None:
        if merge not in MERGES:
            raise ValueError(unknown("merge", merge, list(MERGES)))
        check_is_part(forward, "forward of Bidirectional")
        check_is_part(backward, "backward of Bidirectional")
        if forward.input_size != backward.input_size:
            raise ValueError(f"forward takes input_size={forward.input_size} and backward {backward.input_size}; expected equal sizes.")
        if merge != "concat" and forward.output_size != backward.output_size:
            raise ValueError(f"merge={merge!r} needs equal widths; forward gives {forward.output_size}, backward {backward.output_size}. Use merge='concat'.")
        super().__init__(forward.input_size, forward.output_size + (backward.output_size if merge == "concat" else 0))
        self.merge = merge
        self.forward_part = forward
        self.backward_part = backward

    def initial_state(self, batch_size: int) -> State:
        ahead, back = self.forward_part, self.backward_part
        return {**add_prefix("forward", ahead.initial_state(batch_size)), **add_prefix("backward", back.initial_state(batch_size))}

    def forward(self, x: Tensor, lengths: Lengths = None, state: State | None = None) -> tuple[Tensor, State]:
        lengths = check_input(x, lengths, self.input_size, type(self).__name__)
        ahead, back = self.forward_part, self.backward_part
        check_parts(state, {"forward": ahead, "backward": back}, type(self).__name__)
        y_ahead, s_ahead = ahead(x, lengths, take_prefix("forward", state))
        y_back, s_back = back(reverse(x, lengths), lengths, take_prefix("backward", state))
        y_back = reverse(y_back, back.output_lengths(lengths) if lengths is not None else None)
        return self._merged(y_ahead, y_back), {**add_prefix("forward", s_ahead), **add_prefix("backward", s_back)}

    def _merged(self, ahead: Tensor, back: Tensor) -> Tensor:
        if self.merge == "concat":
            return torch.cat([ahead, back], -1)
        if self.merge == "product":
            return ahead * back
        return (ahead + back) / (2 if self.merge == "mean" else 1)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return self.forward_part.output_lengths(lengths)

    def extra_repr(self) -> str:
        return f"merge={self.merge!r}"


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (B, T, ·) with each row's first `lengths` steps in reverse order and its padding where it was."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    index = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return x.gather(1, index[..., None].expand_as(x))
