"""Which gates are stuck at a limit, in any cell: every σ and tanh that a cell computes is watched, by its own words."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from seqlab.executors import lengths_to_mask

LONGEST_ARGUMENT = 8  # characters of an argument that still make a name
MARGIN = 0.1  # A. Karpathy, J. Johnson and L. Fei-Fei, 2015, call a gate saturated below 0.1 and above 0.9
_SQUASHERS = {
    torch.sigmoid: ("σ", 0.0, 1.0),
    torch.special.expit: ("σ", 0.0, 1.0),
    Tensor.sigmoid: ("σ", 0.0, 1.0),
    torch.tanh: ("tanh", -1.0, 1.0),
    Tensor.tanh: ("tanh", -1.0, 1.0),
}


class SquashingWatch(TorchFunctionMode):
    """Counts, for every call of σ and tanh inside `at`, how many values lie within MARGIN of a limit.

    A cell need not declare anything: calls are told apart by the source text. The gates of an LSTM are σ(i), σ(f), σ(o) as
    its `step` names them; where the argument is long, the names that the result is given are taken: `r, z = σ(…).chunk(2, -1)`
    are r and z. A call whose text is not to be had is σ or tanh. What a cell computes without these functions is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, list[Tensor]] = {}
        self._labels: dict[tuple[CodeType, int], list[str]] = {}
        self._lengths: Tensor | None = None
        self._step: int | None = None

    def begin(self, lengths: Tensor | None) -> None:
        """A new call of the layer: forget what was counted. lengths (B,) say which steps are valid."""
        self._counts.clear()
        self._lengths = lengths

    @contextmanager
    def at(self, step: int | None) -> Iterator[None]:
        """Watch a step, whose values are (B, …), or with None all steps at once, (T, B, …)."""
        self._step = step
        with self:
            yield

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in _SQUASHERS:
            symbol, low, high = _SQUASHERS[func]
            frame = sys._getframe(1)
            place = (frame.f_code, frame.f_lasti)
            if place not in self._labels:
                self._labels[place] = _labels(symbol, frame)
            labels = self._labels[place]
            for label, values in zip(labels, out.detach().chunk(len(labels), -1), strict=True):
                self._count(label, values, low, high)
        return out

    def _count(self, label: str, values: Tensor, low: float, high: float) -> None:
        if self._lengths is not None:
            valid = lengths_to_mask(self._lengths, values.shape[0]).T if self._step is None else self._lengths > self._step
            values = values[valid]
        stuck = (values < low + MARGIN) | (values > high - MARGIN)
        self._counts.setdefault(label, []).append(torch.stack([stuck.sum(), torch.tensor(stuck.numel(), device=stuck.device)]))

    def shares(self) -> dict[str, float]:
        """{call: share of its values within MARGIN of a limit}, over all valid steps, in the order in which they are computed."""
        sums = {label: torch.stack(counts).sum(0).tolist() for label, counts in self._counts.items()}
        return {label: stuck / total for label, (stuck, total) in sums.items() if total}


def _labels(symbol: str, frame: FrameType) -> list[str]:
    """What to call the values of the call that the frame is in: one name, or one for each of the equal chunks it is cut into."""
    line, end_line, start, end = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    if line is None or line != end_line or start is None or end is None:
        return [symbol]
    text = linecache.getline(frame.f_code.co_filename, line)
    call = _parse(text.encode()[start:end].decode(errors="replace"))
    if isinstance(call, ast.Expr) and isinstance(call.value, ast.Call) and call.value.args:
        argument = ast.unparse(call.value.args[0])
        if len(argument) <= LONGEST_ARGUMENT:
            return [f"{symbol}({argument})"]
    statement = _parse(text.strip())
    if isinstance(statement, ast.Assign):
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Name) and value is not None:
            return [f"{target.id} = {symbol}"]
        if isinstance(target, ast.Tuple) and _chunks(value) == len(target.elts):
            return [f"{ast.unparse(name)} = {symbol}" for name in target.elts]
    return [symbol]


def _parse(text: str) -> ast.stmt | None:
    try:
        return ast.parse(text).body[0]
    except (SyntaxError, IndexError):
        return None  # a part of a statement of several lines, or a source file that is not there


def _chunks(value: ast.expr) -> int | None:
    """n of an expression `….chunk(n, -1)`."""
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "chunk" and len(value.args) == 2):
        return None
    number, axis = value.args
    return number.value if isinstance(number, ast.Constant) and isinstance(number.value, int) and ast.unparse(axis) == "-1" else None
