"""How a check says no: one exception, and one comparison that words every difference alike."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# Allowed difference, relative to the largest expected value of the tensor. Two orders of summation differ by some hundred
# roundings (6e-8 each in float32, 1e-16 in float64, 5e-4 in float16, 4e-3 in bfloat16); a wrong row, step or gate moves a result by percents.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}


class Nonconforming(AssertionError):
    """A cell lacks a property of the contract. The message says which, with the values, and what to do."""


def expect_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], how: str, reference: str, advice: str, tolerance: float = 0.0) -> None:
    """Raise Nonconforming unless the tensors of each name agree in shape and value. NaN equals nothing.

    how: the circumstances of `found`; reference: what `expected` is. tolerance: relative to the largest expected value;
    0 means what the dtype's rounding allows. The floor of 1 % of it keeps a gradient of zero comparable.
    """
    for name, right in expected.items():
        left = found[name]
        if left.shape != right.shape:
            raise Nonconforming(f"{name} {how} has shape {tuple(left.shape)}; expected {tuple(right.shape)}, {reference}. {advice}")
        if not right.numel():
            continue
        allowed = tolerance or TOLERANCE.get(right.dtype, 0.0)
        wide_left, wide_right = left.detach().double(), right.detach().double()
        # Equal infinities agree; they set no scale, or one of them would let anything else pass.
        scale = wide_right.where(wide_right.isfinite(), 0.0).abs().max()
        bound = allowed * (float(scale) + 0.01)
        difference = (wide_left - wide_right).abs().where(wide_left != wide_right, 0.0)
        worst = int(difference.nan_to_num(torch.inf, torch.inf).argmax())
        if difference.flatten()[worst] <= bound:
            continue
        at = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), right.shape))
        raise Nonconforming(
            f"{name} {how} is {_show(wide_left[at])} at {at}; expected {_show(wide_right[at])}, {reference} (allowed difference {bound:.2g}). {advice}"
        )


def expect_finite(values: Mapping[str, Tensor], how: str, advice: str) -> None:
    """Raise Nonconforming when a tensor holds NaN or infinity."""
    for name, value in values.items():
        wrong = ~value.detach().isfinite()
        if wrong.any():
            at = tuple(int(i) for i in wrong.nonzero()[0])
            raise Nonconforming(f"{name} {how} is {_show(value[at])} at {at}; expected a finite number. {advice}")


def _show(value: Tensor) -> str:
    return f"{float(value):.6g}"
