"""The pictures of a gradient record: states over time, parameters over training, activations over training.

A record is what `seqlab.callbacks.gradient.load_record` gives: P probes, T time steps.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqlab.pictures.saving import save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Record = dict[str, np.ndarray]
MOST_LINES = 6  # in one plot; more become a heat map
SPAN = 1e12  # of a colour scale; what lies further below the largest value is drawn in the darkest colour
STATES = r"$\|\partial L/\partial s_t\|$"
ZERO = "0.75"  # the grey of a gradient that is exactly zero


def of_kind(record: Record, kind: str) -> Record:
    """The arrays named kind/NAME, by NAME."""
    return {name.partition("/")[2]: values for name, values in record.items() if name.startswith(f"{kind}/")}


def draw_states(record: Record, path: Path) -> None:
    """‖∂L/∂s_t‖: above, heat maps state × time at up to four probes; below, lines over time for each state."""
    states, steps = of_kind(record, "states"), record["steps"]
    columns, across = min(4, len(steps)), min(4, len(states))
    down = -(-len(states) // across)
    heat = 0.8 + 0.3 * len(states)
    figure = _figure(13, 1.4 + heat + 2.6 * down)
    above, below = figure.subfigures(2, 1, height_ratios=[heat + 0.8, 2.6 * down], squeeze=False)[:, 0]
    names = list(states)
    length = max(values.shape[1] for values in states.values())
    shown = np.linspace(0, len(steps) - 1, columns).round().astype(int)
    stacked = np.stack([np.pad(values, ((0, 0), (0, length - values.shape[1])), constant_values=np.nan) for values in states.values()], 1)
    scale = _log_scale(stacked)
    mesh = None
    for axes, p in zip(above.subplots(1, columns, sharey=True, squeeze=False)[0], shown, strict=True):
        mesh = axes.pcolormesh(np.arange(length + 1) + 0.5, np.arange(len(names) + 1) - 0.5, _positive(stacked[p]), norm=scale, cmap="magma")
        axes.set_facecolor(ZERO)
        axes.set(title=f"after {steps[p]} steps", xlabel="time t", yticks=range(len(names)), yticklabels=names)
        axes.invert_yaxis() if p == shown[0] else None
    assert mesh is not None
    above.colorbar(mesh, ax=above.axes, label=STATES, extend="min", pad=0.01)
    above.suptitle("Gradient of the loss with respect to each state, layer × time (grey: exactly 0)")
    lines = np.linspace(0, len(steps) - 1, min(6, len(steps))).round().astype(int)
    panels = below.subplots(down, across, sharey=True, squeeze=False).ravel()
    for axes, (name, values) in zip(panels, states.items(), strict=False):
        for order, p in enumerate(lines):
            color = _shade(order, len(lines))
            axes.plot(np.arange(1, values.shape[1] + 1), _positive(values[p]), color=color, label=f"{steps[p]} steps")
        axes.set(title=name, xlabel="time t", yscale="log")
        axes.grid(alpha=0.3)
    for axes in panels[len(states) :]:
        axes.set_axis_off()
    panels[0].set_ylabel(STATES)
    below.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", title="after")
    save_picture(figure, path, dpi=110)


def draw_parameters(record: Record, path: Path) -> None:
    """‖∂L/∂w‖ of every parameter over training, a heat map parameter × step."""
    parameters = of_kind(record, "parameters")
    values = np.stack(list(parameters.values()))
    figure = _figure(10, 1.6 + 0.3 * len(parameters))
    axes = figure.subplots()
    mesh = axes.pcolormesh(_edges(record["steps"]), np.arange(len(parameters) + 1) - 0.5, _positive(values), norm=_log_scale(values), cmap="magma")
    axes.set_facecolor(ZERO)
    axes.set(title="Gradient norm of each parameter (grey: exactly 0)", xlabel="training step", yticks=range(len(parameters)), yticklabels=list(parameters))
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, label=r"$\|\partial L/\partial w\|$", extend="min", pad=0.01)
    save_picture(figure, path, dpi=110)


def draw_activations(record: Record, path: Path) -> None:
    """Over training: each layer's mean activation and dead units as lines, the saturation of each gate as a heat map."""
    steps, spread, saturation = record["steps"], of_kind(record, "spread"), of_kind(record, "saturation")
    figure = _figure(13, max(5.0, 1.6 + 0.22 * len(saturation)))
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    above, below = left.subplots(2, 1, sharex=True)
    for name, mean in of_kind(record, "mean").items():
        (line,) = above.plot(steps, mean, marker=".", label=name)
        above.fill_between(steps, mean - spread[name], mean + spread[name], color=line.get_color(), alpha=0.12)
    above.axhline(0, color="black", linewidth=0.8)
    above.set(title="Mean activation of each layer (band: standard deviation between its units)", ylabel="mean of y")
    left.legend(*above.get_legend_handles_labels(), loc="outside right center", title="layer", fontsize="small")
    for share in of_kind(record, "dead").values():
        below.plot(steps, share, marker=".")
    below.set(title="Dead units: zero at every step of every sequence", ylabel="share of the layer", ylim=(-0.04, 1.04), xlabel="training step")
    for axes in (above, below):
        axes.title.set_fontsize("medium")
        axes.grid(alpha=0.3)
    _draw_saturation(saturation, steps, list(record["silent"]), right.subplots())
    save_picture(figure, path, dpi=110)


def _draw_saturation(saturation: Record, steps: np.ndarray, silent: list[str], axes: Axes) -> None:
    """Lines for a few gates, a heat map gate × step for many."""
    axes.set_title("Saturation: share of the values of σ and tanh within 0.1 of a limit", fontsize="medium")
    text = "no σ or tanh is computed in layer " + ", ".join(silent)
    if not saturation:
        axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
        return
    axes.set_xlabel(f"training step   ({text})" if silent else "training step")
    if len(saturation) <= MOST_LINES:
        for name, share in saturation.items():
            axes.plot(steps, share, marker=".", label=name)
        axes.set(ylabel="share", ylim=(-0.04, 1.04))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
        return
    values = np.stack(list(saturation.values()))
    mesh = axes.pcolormesh(_edges(steps), np.arange(len(saturation) + 1) - 0.5, values, vmin=0, vmax=1, cmap="viridis")
    axes.set(yticks=range(len(saturation)), yticklabels=list(saturation))
    axes.invert_yaxis()
    axes.figure.colorbar(mesh, ax=axes, label="share", pad=0.02)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # not at import time: it costs a second

    return Figure(figsize=(width, height), layout="constrained")


def _positive(values: np.ndarray) -> Any:
    """Values with what is not above zero left out, as a logarithmic scale needs it."""
    return np.ma.masked_where(~(values > 0), values)


def _log_scale(values: np.ndarray) -> Any:
    """A logarithmic colour scale from the largest value down to the smallest, at most SPAN below."""
    from matplotlib.colors import LogNorm

    present = values[np.isfinite(values) & (values > 0)]
    if not present.size:
        return LogNorm(0.1, 1.0)
    top = float(present.max())
    return LogNorm(max(float(present.min()), top / SPAN) * 0.999, top)


def _edges(steps: np.ndarray) -> np.ndarray:
    """Cell borders half-way between the steps, for a heat map whose columns are steps."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middles = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[2 * steps[0] - middles[0]], middles, [2 * steps[-1] - middles[-1]]])


def _shade(order: int, count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](0.92 * (1 - order / max(1, count - 1)))
