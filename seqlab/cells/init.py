"""Initialisation of a cell's parameters, by their roles.

Roles are names: `input_weight` (G·H, I), `recurrent_weight` (G·H, H), `bias` (G·H,), with the G gates stacked along the
first axis in the order that the cell's `gates` says. H hidden_size, I input_size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, WrapperCell
from seqlab.registry import unknown


def glorot_(weight: Tensor, num_gates: int = 1) -> Tensor:
    """Uniform in ±√(6 / (fan_in + fan_out)) for each gate's own block (X. Glorot and Y. Bengio, 2010, eq. 16)."""
    rows = weight.shape[0] // num_gates
    bound = math.sqrt(6.0 / (rows + weight.shape[1]))
    with torch.no_grad():
        return weight.uniform_(-bound, bound)


def orthogonal_(weight: Tensor, num_gates: int = 1) -> Tensor:
    """Each gate's block orthogonal, so that products over many steps keep norms (A. Saxe et al., 2014)."""
    with torch.no_grad():
        for block in weight.chunk(num_gates):
            nn.init.orthogonal_(block)
    return weight


def identity_(weight: Tensor, num_gates: int = 1) -> Tensor:
    """Each gate's block the identity, so that a state is handed on as it is (Q. Le, N. Jaitly and G. Hinton, 2015)."""
    rows = weight.shape[0] // num_gates
    if rows != weight.shape[1]:
        raise ValueError(f"a block of shape {(rows, weight.shape[1])} cannot be the identity; expected as many rows as columns. Use 'orthogonal'.")
    with torch.no_grad():
        for block in weight.chunk(num_gates):
            nn.init.eye_(block)
    return weight


def uniform_(weight: Tensor, num_gates: int = 1) -> Tensor:
    """Uniform in ±1, every entry alike."""
    return nn.init.uniform_(weight, -1.0, 1.0)


def normal_(weight: Tensor, num_gates: int = 1) -> Tensor:
    """Normal with mean 0 and standard deviation 1, every entry alike."""
    return nn.init.normal_(weight)


def zeros_(weight: Tensor, num_gates: int = 1) -> Tensor:
    """Zeros."""
    return nn.init.zeros_(weight)


Scheme = Callable[[Tensor, int], Tensor]
BIAS_SCHEMES: dict[str, Scheme] = {"zeros": zeros_, "uniform": uniform_, "normal": normal_}
WEIGHT_SCHEMES: dict[str, Scheme] = {"glorot": glorot_, "orthogonal": orthogonal_, "identity": identity_, **BIAS_SCHEMES}


def role(name: str) -> str | None:
    """ "input", "recurrent" or "bias" for the name of a parameter, None for one that has no such role."""
    last = name.rpartition(".")[2]
    for prefix in ("input", "recurrent"):
        if last.startswith(f"{prefix}_weight"):
            return prefix
    return "bias" if last == "bias" or last.endswith("_bias") else None


class Initialise:
    """A way to start any cell: called with a cell, it sets the parameters in place and returns the cell. None leaves a role as the cell has it.

    Of a cell in wrappers it sets the parameters of the innermost cell, whose gates say how they are stacked.

    every: glorot, orthogonal, identity, uniform, normal or zeros, for every parameter with two axes, whatever its name: fits
    any cell. input, recurrent: the same for the weights of that role, each gate's block for itself. bias: zeros, uniform or
    normal, for every bias. The scales multiply what the scheme gives: uniform is then in ±scale, normal has that standard
    deviation, identity is scale · 1.
    forget_bias: the bias of the gate that keeps the old state, as its pre-activation (R. Jozefowicz et al., 2015). A gate
    that keeps where it is closed, such as z of `gru`, gets −forget_bias.
    chrono: the longest time T_max, in steps, over which something must be remembered. The keeping gate's bias is
    log U(1, T_max − 1) for each unit, so that the times it forgets in are spread up to T_max; an input gate of its own gets
    the negative (C. Tallec and Y. Ollivier, 2018, "Can recurrent neural networks warp time?", arXiv 1804.11188).

    Raises ValueError for an unknown scheme, for values that do not go together, and, when called, for whatever was asked for
    that the cell does not have.
    """

    def __init__(
        self,
        input: str | None = None,
        recurrent: str | None = None,
        bias: str | None = None,
        *,
        every: str | None = None,
        every_scale: float = 1.0,
        input_scale: float = 1.0,
        recurrent_scale: float = 1.0,
        bias_scale: float = 1.0,
        forget_bias: float | None = None,
        chrono: float | None = None,
    ) -> None:
        for name, scheme, scale, known in (
            ("every", every, every_scale, WEIGHT_SCHEMES),
            ("input", input, input_scale, WEIGHT_SCHEMES),
            ("recurrent", recurrent, recurrent_scale, WEIGHT_SCHEMES),
            ("bias", bias, bias_scale, BIAS_SCHEMES),
        ):
            if scheme is not None and scheme not in known:
                raise ValueError(unknown(f"{name} initialisation", scheme, list(known)))
            if scheme is None and scale != 1:
                raise ValueError(f"{name}_scale is {scale} but {name} is None; expected a scheme that it scales. Set {name}, e.g. to 'uniform'.")
        if forget_bias is not None and chrono is not None:
            raise ValueError(f"forget_bias is {forget_bias} and chrono {chrono}; expected one of them, since both set the same bias.")
        if chrono is not None and not chrono >= 2:
            raise ValueError(f"chrono is {chrono}; expected the longest time to be remembered, at least 2 steps.")
        self.schemes = {"every": (every, every_scale), "input": (input, input_scale), "recurrent": (recurrent, recurrent_scale), "bias": (bias, bias_scale)}
        self.forget_bias = forget_bias
        self.chrono = chrono

    @torch.no_grad()
    def __call__(self, cell: Cell) -> Cell:
        wrapped = cell
        while isinstance(cell, WrapperCell):
            cell = cell.cell
        parameters = dict(cell.named_parameters())
        gates = len(cell.gates) or 1
        for name, (scheme, scale) in self.schemes.items():
            if scheme is None:
                continue
            chosen = [value for key, value in parameters.items() if (value.dim() == 2 if name == "every" else role(key) == name)]
            if not chosen:
                raise ValueError(_missing(cell, f"{name} {scheme!r}", parameters))
            for parameter in chosen:
                # A weight that is not one block per gate, such as a bias of one gate alone, is one block.
                WEIGHT_SCHEMES[scheme](parameter, gates if parameter.shape[0] % gates == 0 else 1).mul_(scale)
        if self.forget_bias is not None or self.chrono is not None:
            self._set_keeping(cell, parameters)
        return wrapped

    def _set_keeping(self, cell: Cell, parameters: dict[str, nn.Parameter]) -> None:
        """Set the bias of the gate that keeps the old state, and against chrono's that of the input gate."""
        asked = "forget_bias" if self.chrono is None else "chrono"
        if cell.keep_gate is None:
            raise ValueError(f"{asked} finds no gate in {type(cell).__name__} that keeps the old state; its gates are {', '.join(cell.gates) or 'none'}.")
        if "bias" not in parameters:
            raise ValueError(_missing(cell, asked, parameters))
        gate, sign = cell.keep_gate
        rows = dict(zip(cell.gates, parameters["bias"].chunk(len(cell.gates)), strict=True))
        if self.chrono is None:
            rows[gate].fill_(sign * (self.forget_bias or 0.0))
            return
        time = torch.empty_like(rows[gate]).uniform_(1.0, self.chrono - 1.0)
        rows[gate].copy_(sign * time.log())
        if "input" in rows:
            rows["input"].copy_(-time.log())


def _missing(cell: Cell, asked: str, parameters: Iterable[str]) -> str:
    return f"initialisation {asked} fits no parameter of {type(cell).__name__}; it has {', '.join(parameters) or 'none'}. Leave it out for this cell."
