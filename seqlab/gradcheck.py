"""`seqlab train debug=gradcheck`: is the gradient of the configured model's loss the slope of that loss?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
import torch
from rich.table import Column, Table
from torch import Tensor

from seqlab.build import build_data, build_task
from seqlab.callbacks.probe import double_copy, fresh_rows
from seqlab.data.base import Batch
from seqlab.show import console
from seqlab.tasks import Task

WIDTHS = (1e-5, 1e-6, 1e-7, 1e-8)  # of the differences; where a kink, of relu say, lies between the two points, a smaller one helps
ROUNDING = 2e-15  # of a loss of order 1: what divided by a width cannot be told from zero


@dataclass
class Row:
    """One parameter: ‖gradient‖, the estimated ‖gradient − slope‖ relative to the larger of both norms, and the verdict."""

    name: str
    norm: float
    relative_error: float
    verdict: str  # ok; ok, zero; ok, within rounding; or wrong


def check_gradient(task: Task, batch: Batch, directions: int = 4, tolerance: float = 1e-5, seed: int = 0) -> list[Row]:
    """Compare the gradient of the training loss with central differences, parameter by parameter, in float64 without dropout.

    Along a random direction v ~ N(0, 1) the error (gradient − slope)·v has the mean square ‖gradient − slope‖², so that few
    directions find a wrong entry in any number of them. The task itself is left as it is.
    """
    if directions < 1:
        raise ValueError(f"gradcheck.directions is {directions}; expected at least 1.")
    copy = double_copy(task)
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        return copy.training_step(batch, 0)["loss"]

    start = loss()
    start.backward()
    rows = []
    for name, parameter in copy.model.named_parameters():
        if not parameter.requires_grad:
            continue
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        along = [torch.randn(parameter.shape, generator=generator, dtype=torch.float64) for _ in range(directions)]
        norm = float(gradient.norm())
        expected = torch.stack([(gradient * v).sum() for v in along])
        best, rounding = math.inf, 0.0
        for width in WIDTHS:
            slopes = torch.stack([_slope(loss, parameter, v, width) for v in along])
            error = float((slopes - expected).square().mean().sqrt())
            scale = max(norm, float(slopes.square().mean().sqrt()))
            relative = error / scale if scale > 0 else 0.0
            if relative < best:
                best, rounding = relative, ROUNDING * max(1.0, abs(start.item())) / width / scale if scale > 0 else 0.0
            if best <= tolerance:
                break
        verdict = ("ok" if norm > 0 else "ok, zero") if best <= tolerance else "ok, within rounding" if best <= rounding else "wrong"
        rows.append(Row(name, norm, best, verdict))
    return rows


def check_configured(config: Any) -> float:
    """Check the model, task and data of a config on a few training sequences and print the table. Returns the largest relative error.

    Raises ArithmeticError, naming the parameters, when a gradient is wrong.
    """
    options = config.gradcheck
    L.seed_everything(config.seed, verbose=False)
    data = build_data(config)
    task = build_task(config, data.spec)
    batch = fresh_rows(next(iter(data.train_dataloader())), options.rows)
    rows = check_gradient(task, batch, options.directions, options.tolerance, config.seed)
    console.print(table(rows))
    wrong = [row.name for row in rows if row.verdict == "wrong"]
    if wrong:
        raise ArithmeticError(
            f"the gradient of {', '.join(wrong)} is not the slope of the loss, within a relative error of {options.tolerance:g}. "
            "Look for a detach, an in-place change or a backward pass written by hand; `seqlab check CELL` looks at the cell alone."
        )
    console.print(f"the gradient of {len(rows)} parameters is right; nothing was trained")
    return max(row.relative_error for row in rows)


def table(rows: list[Row]) -> Table:
    """parameter, ‖gradient‖, relative error, verdict."""
    shown = Table(Column("parameter", overflow="fold"), "‖gradient‖", "relative error", "verdict")
    for row in rows:
        shown.add_row(row.name, f"{row.norm:.3g}", f"{row.relative_error:.1e}", row.verdict, style="red" if row.verdict == "wrong" else None)
    return shown


def _slope(loss: Any, parameter: Tensor, direction: Tensor, width: float) -> Tensor:
    """(L(w + width v) − L(w − width v)) / (2 width)."""
    with torch.no_grad():
        with _moved(parameter, direction * width):
            above = loss()
        with _moved(parameter, direction * -width):
            below = loss()
    return (above - below) / (2 * width)


@contextmanager
def _moved(parameter: Tensor, by: Tensor) -> Iterator[None]:
    kept = parameter.clone()
    parameter.add_(by)
    try:
        yield
    finally:
        parameter.copy_(kept)  # adding and subtracting would not bring every bit back
