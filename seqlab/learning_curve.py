"""The picture of a run: learning_curve.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqlab.pictures.saving import save_picture

Points = Sequence[tuple[int, float]]


def draw_learning_curve(path: Path, training: Points, validation: Mapping[str, Points], best_step: int | None = None) -> None:
    """Losses on the left; on the right each other validation metric on a scale of its own, one below the other.

    training: (step, loss). validation: metric -> (step, value). best_step: marked, where the best checkpoint is from.
    """
    from matplotlib.figure import Figure  # not at import time: it costs a second

    others = {name: points for name, points in validation.items() if name != "val/loss"}
    figure = Figure(figsize=(11 if others else 6.5, max(4.0, 1.8 * len(others))), layout="constrained")
    columns: Any = figure.subfigures(1, 2) if others else [figure]
    losses = columns[0].subplots()
    if training:
        losses.plot(*zip(*training, strict=True), label="training", color="tab:blue", linewidth=1)
    if "val/loss" in validation:
        plot_validation(losses, validation["val/loss"], "validation")
    losses.set(ylabel="loss")
    values = [value for points in (training, validation.get("val/loss", ())) for _, value in points]
    if values and 0 < min(values) < max(values) / 100:
        losses.set_yscale("log")
    panels = [losses]
    if others:
        below = columns[1].subplots(len(others), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, points) in zip(below, others.items(), strict=True):
            plot_validation(axes, points, "validation")
            axes.set(ylabel=name.removeprefix("val/").replace("_", " "))
        panels += list(below)
    for axes in panels:
        if best_step:
            axes.axvline(best_step, color="0.5", linestyle=":", linewidth=1, label="best checkpoint")
        axes.grid(alpha=0.3)
    losses.legend(frameon=False)
    for axes in (losses, panels[-1]):
        axes.set(xlabel="step")
    save_picture(figure, path)


def plot_validation(axes: Any, points: Points, label: str) -> None:
    """A line with its points while they can be told apart."""
    axes.plot(*zip(*points, strict=True), label=label, color="tab:orange", marker="o" if len(points) <= 60 else None, markersize=3, linewidth=1.2)
