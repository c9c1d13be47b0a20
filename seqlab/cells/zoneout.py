"""Zoneout around any cell. Dimension key: B batch, I input_size, O output_size; `…` any number of leading axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from seqlab.cells.base import Cell, State, WrapperCell
from seqlab.registry import unknown


class Zoneout(WrapperCell):
    """Each unit of the state keeps, with probability `rate`, its old value instead of the new one; anew at every step.

    training:    s_t = d_t ⊙ s_{t−1} + (1 − d_t) ⊙ ŝ_t,  d_t ~ Bernoulli(rate) for each row, step and unit
    evaluation:  s_t = rate · s_{t−1} + (1 − rate) · ŝ_t,  the expectation: no noise, but still not the bare cell
    ŝ_t is what the inner cell computes from s_{t−1}. Where the cell's y is a leaf of its state, y is that leaf after zoneout.

    Source: D. Krueger et al., 2017, "Zoneout: Regularizing RNNs by randomly preserving hidden activations",
    arXiv 1606.01305, section 3.
    rate: for every floating leaf. rates: for single leaves, before `rate`, e.g. {"h": 0.05, "c": 0.5} as the paper has for
    language; a leaf with rate 0 is left alone. Both are probabilities in [0, 1), or ValueError.
    """

    def __init__(self, cell: Cell, rate: float = 0.1, rates: Mapping[str, float] | None = None) -> None:
        super().__init__(cell)
        floating = [name for name, leaf in cell.initial_state(1).items() if leaf.is_floating_point()]
        rates = dict(rates or {})
        for name in rates:
            if name not in floating:
                raise ValueError(unknown("floating state leaf", name, floating, "Zoneout takes rates for these."))
        for name, value in {"rate": rate, **{f"rates[{name!r}]": value for name, value in rates.items()}}.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name} of Zoneout is {value}; expected a probability in [0, 1).")
        self.rates = {name: value for name in floating if (value := rates.get(name, rate)) > 0}

    def project(self, x: Tensor) -> Any:
        """x (…, I) -> the inner p, in training followed by one mask (…, *leaf) for each leaf, True where the old value stays."""
        p = super().project(x)
        if not self.training or not self.rates:
            return p
        if isinstance(p, tuple) and len(p) == 1:
            raise TypeError(f"project of {type(self.cell).__name__} returns a tuple of one tensor; expected the tensor itself, or a tuple of several.")
        masks = (torch.empty(*x.shape[:-1], *self.state_shapes[name], dtype=torch.bool, device=x.device).bernoulli_(rate) for name, rate in self.rates.items())
        return (*(p if isinstance(p, tuple) else (p,)), *masks)

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        masks: dict[str, Tensor] = {}
        if self.training and self.rates:
            p, drawn = p[: -len(self.rates)], p[-len(self.rates) :]
            p = p[0] if len(p) == 1 else p
            masks = dict(zip(self.rates, drawn, strict=True))
        y, new = super().step(p, state)
        new = dict(new)
        for name, rate in self.rates.items():
            if new[name] is state[name]:
                continue  # constant over the sequence: executors know such a leaf by its identity
            old = state[name]
            new[name] = torch.where(masks[name], old, new[name]) if masks else rate * old + (1 - rate) * new[name]
        return (new[self.output_key] if self.output_key in self.rates else y), new

    def extra_repr(self) -> str:
        return f"rates={self.rates}"
