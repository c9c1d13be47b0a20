"""The pictures of a report: the metric of each row with its points, and the learning curves."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seqlab.pictures.fonts import fonts_for
from seqlab.pictures.saving import save_picture
from seqlab.report.collect import Run
from seqlab.report.rows import Row

LABEL = {"width": 40, "max_lines": 4, "placeholder": " …"}  # how a long name is set
MOST_POINTS = 60  # of a curve: more cannot be told apart


def panels(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """{(data, metric): rows}, in the order of the report."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.data, row.metric), []).append(row)
    return found


def label(row: Row) -> str:
    """The row's name in lines that fit."""
    return as_written(textwrap.fill(row.name, **LABEL))


def as_written(text: str) -> str:
    """The text without formulas: matplotlib reads one between two dollar signs, and fails where it is none. (Its switch for
    formulas would take those of a logarithmic axis, too.)"""
    return text.replace("$", r"\$")


def draw_metric(path: Path, rows: Sequence[Row]) -> None:
    """A panel for each data set and metric; in it a line for each row: its seeds as points, their mean, and its interval."""
    import matplotlib  # not at import time: it costs a second
    from matplotlib.figure import Figure

    parts = panels(rows)
    labels = {key: [label(row) for row in part] for key, part in parts.items()}
    heights = [sum(max(0.42, 0.19 * (text.count("\n") + 1)) for text in texts) + 1.1 for texts in labels.values()]
    with matplotlib.rc_context({"font.family": fonts_for([row.name + row.data for row in rows])}):
        figure = Figure(figsize=(9, sum(heights)), layout="constrained")
        axes = figure.subplots(len(parts), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for axis, ((data, metric), part) in zip(axes, parts.items(), strict=True):
            for place, row in enumerate(part):
                color = f"C{place % 10}"
                axis.plot(row.values, [place + 0.2] * len(row.values), "o", color=color, alpha=0.6, markersize=5, markeredgewidth=0)
                axis.plot(row.mean, place, "|", color=color, markersize=17, markeredgewidth=2.5)
                if row.interval is not None:
                    axis.plot(row.interval, [place, place], color=color, linewidth=1.5)
            axis.set_yticks(range(len(part)), labels[data, metric], fontsize=8)
            axis.set_ylim(len(part) - 0.5, -0.5)  # the best at the top
            _choose_scale([value for row in part for value in row.values], axis.set_xscale)
            better = {"min": "lower is better", "max": "higher is better"}.get(part[0].mode, "")
            axis.set(xlabel=metric + (f" ({better})" if better else ""), title=as_written(textwrap.fill(data, 70)))
            axis.grid(alpha=0.3, axis="x")
        save_picture(figure, path)


def draw_curves(path: Path, rows: Sequence[Row]) -> bool:
    """A panel for each data set and metric; in it a thin line per run, a colour per row. Returns whether there was anything to draw."""
    import matplotlib
    from matplotlib.figure import Figure

    parts = {key: (name, part) for key, part in panels(rows).items() if (name := curve_of(part)) is not None}
    if not parts:
        return False
    with matplotlib.rc_context({"font.family": fonts_for([row.name + row.data for row in rows])}):
        figure = Figure(figsize=(9, 4 * len(parts)), layout="constrained")
        axes = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
        for axis, ((data, _), (name, part)) in zip(axes, parts.items(), strict=True):
            everything = [value for place, row in enumerate(part) for value in _draw_row(axis, row, name, f"C{place % 10}")]
            _choose_scale(everything, axis.set_yscale)
            axis.set(xlabel="step", ylabel=name, title=as_written(textwrap.fill(data, 70)))
            axis.grid(alpha=0.3)
            axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        save_picture(figure, path)
    return True


def _choose_scale(values: Sequence[float], set_scale: Callable[[str], None]) -> None:
    """Logarithmic for values over more than two decades, as learning_curve.png has it."""
    if values and 0 < min(values) < max(values) / 100:
        set_scale("log")


def _draw_row(axis: Any, row: Row, name: str, color: str) -> list[float]:
    """The runs of a row, with one entry in the legend. Returns the values that were drawn."""
    drawn: list[float] = []
    for _, run in row.points.values():
        points = [(step, value) for step, value in run.curves.get(name, ()) if math.isfinite(value)]
        if points:
            marker = "o" if len(points) <= MOST_POINTS else None
            axis.plot(*zip(*points, strict=True), color=color, label=None if drawn else label(row), linewidth=1, alpha=0.8, marker=marker, markersize=2.5)
            drawn += [value for _, value in points]
    return drawn


def curve_of(rows: Sequence[Row]) -> str | None:
    """The column of metrics.csv that shows how the rows' metric came about: in validation, else the loss in validation, else in training."""
    wanted = [f"val/{rows[0].metric.partition('/')[2]}", "val/loss", "train/loss"]
    runs: list[Run] = [run for row in rows for _, run in row.points.values()]
    return next((name for name in wanted if any(name in run.curves for run in runs)), None)
