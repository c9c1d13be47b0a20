"""A forecast after the series it goes on from, and the anomalies of a series."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqlab.pictures.fonts import plain_text
from seqlab.pictures.saving import save_picture

MOST_SERIES = 8  # panels below each other: more cannot be read
MOST_PAST = 4  # horizons of the past that are drawn


def draw_forecast(
    path: Path,
    past: Mapping[str, Sequence[float]],
    forecast: Mapping[str, Sequence[float]],
    lower: Mapping[str, Sequence[float]] | None = None,
    upper: Mapping[str, Sequence[float]] | None = None,
    actual: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """A panel for each of the first MOST_SERIES series: the end of its past, the forecast with its band, and what came true where that is known.

    Each argument: {series: values}; a NaN is a gap in the line.
    """
    import matplotlib  # not at import time: it costs a second
    from matplotlib.figure import Figure

    names = list(forecast)[:MOST_SERIES]
    with matplotlib.rc_context(plain_text(names)):
        figure = Figure(figsize=(9, 1.2 + 1.8 * len(names)), layout="constrained")
        panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=True):
            horizon = len(forecast[name])
            before = list(past[name])[-max(MOST_PAST * horizon, 24) :]
            ahead = range(1, horizon + 1)
            axes.plot(range(1 - len(before), 1), before, color="0.35", linewidth=1, label="past", marker=".", markersize=3, markevery=between_gaps(before))
            if lower is not None and upper is not None:
                axes.fill_between(ahead, lower[name], upper[name], color="tab:orange", alpha=0.25, linewidth=0, label="band")
            if actual is not None:
                axes.plot(ahead, actual[name], color="0.35", linewidth=1, linestyle="--", label="what came")
            axes.plot(ahead, forecast[name], color="tab:orange", linewidth=1.5, label="forecast", marker="o" if horizon == 1 else None)
            axes.axvline(0.5, color="0.6", linewidth=0.8, linestyle=":")
            axes.set_ylabel(name)
            axes.grid(alpha=0.3)
        panels[0].legend(frameon=False, fontsize=8, ncols=4, loc="upper left")
        panels[-1].set_xlabel("steps from the end of the past")
        if len(forecast) > len(names):
            figure.suptitle(f"{len(names)} of {len(forecast)} series", fontsize=9)
        save_picture(figure, path)


def between_gaps(values: Sequence[float]) -> list[int]:
    """The places of values without a neighbour: a line shows nothing of them."""
    there = [False, *map(math.isfinite, values), False]
    return [place for place in range(len(values)) if there[place : place + 3] == [False, True, False]]


def draw_anomalies(
    path: Path,
    values: Mapping[str, Sequence[float]],
    scores: Sequence[float],
    flags: Sequence[bool],
    threshold: float | None = None,
    windows: Sequence[tuple[int, int]] = (),
) -> None:
    """A panel for each of the first MOST_SERIES series with a mark on each flagged row, and one for the score.

    values: {series: a value for each row}, as scores and flags. windows: first and last row of the labelled anomalies, shaded.
    """
    import matplotlib  # not at import time: it costs a second
    from matplotlib.figure import Figure

    names = list(values)[:MOST_SERIES]
    flagged = [row for row, flag in enumerate(flags) if flag]
    with matplotlib.rc_context(plain_text(names)):
        figure = Figure(figsize=(10, 1.8 + 1.9 * len(names)), layout="constrained")
        panels = figure.subplots(len(names) + 1, 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=False):
            axes.plot(values[name], color="0.35", linewidth=0.8, marker=".", markersize=3, markevery=between_gaps(values[name]))
            axes.plot(flagged, [values[name][row] for row in flagged], "o", color="tab:red", markersize=4, label="flagged")
            axes.set_ylabel(name)
        panels[-1].plot([score if math.isfinite(score) else math.nan for score in scores], color="tab:blue", linewidth=0.8)
        panels[-1].set(ylabel="score", xlabel="row")
        if threshold is not None and math.isfinite(threshold):
            panels[-1].axhline(threshold, color="tab:red", linewidth=0.8, linestyle="--", label="threshold")
            panels[-1].legend(frameon=False, fontsize=8)
        for axes in panels:
            for first, last in windows:
                axes.axvspan(first, last, color="tab:orange", alpha=0.2, linewidth=0)
            axes.grid(alpha=0.3)
        if flagged:
            panels[0].legend(frameon=False, fontsize=8)
        save_picture(figure, path)
