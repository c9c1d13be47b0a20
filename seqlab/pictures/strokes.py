"""Pen strokes on paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqlab.pictures.saving import save_picture

Strokes = Sequence[Sequence[Sequence[float]]]  # strokes of points x, y, y downwards


def draw_strokes(path: Path, rows: Sequence[tuple[str, Sequence[Strokes]]], size: float = 28.0) -> None:
    """A row of writings for each (name, writings), each in a square of `size`, every stroke in its own colour in the order of writing."""
    from matplotlib.figure import Figure  # not at import time: it costs a second

    columns = max(len(writings) for _, writings in rows)
    figure = Figure(figsize=(0.9 * columns + 0.6, 0.95 * len(rows)), layout="constrained")
    for line, (name, writings) in zip(figure.subplots(len(rows), columns, squeeze=False), rows, strict=True):
        for axes, strokes in zip(line, writings, strict=False):
            for stroke in strokes:
                axes.plot(*zip(*stroke, strict=True), linewidth=1.5, marker="." if len(stroke) == 1 else None, solid_capstyle="round")
            axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal")
        for axes in line:
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    save_picture(figure, path)
