"""One picture and one table from the gradient records of a sweep: who vanishes, who explodes, and what cures it."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from seqlab import run_directory
from seqlab.pictures.saving import save_picture

log = logging.getLogger("seqlab")
SMALLEST = 2.0**-149  # of float32; a smaller gradient is zero in training
PICTURE, TABLE = "gradients.png", "results.csv"


@dataclass
class Run:
    """What a run of the sweep left: its name, its summary, its gradient record and validation losses [(step, loss)]."""

    name: str
    summary: dict[str, Any]
    record: dict[str, np.ndarray]
    losses: list[tuple[int, float]]

    def ratio(self, probe: int) -> float:
        """‖∂L/∂h_1‖ / ‖∂L/∂h_T‖ of the first layer at a probe."""
        norms = self.norms(probe)
        return float(norms[0] / norms[-1])

    def norms(self, probe: int) -> np.ndarray:
        """‖∂L/∂h_t‖ of the first state of the first layer at a probe, (T,)."""
        return next(values for name, values in self.record.items() if name.startswith("states/"))[probe]


class CompareGradients(Callback):
    """After a sweep whose runs have the callback `gradient`: draws gradients.png and writes results.csv into its directory.

    Runs are called by their directories. exploding and clipped: the two runs that differ in the clipping alone.
    baseline: a loss that is drawn as a line.
    """

    def __init__(self, exploding: str, clipped: str, baseline: float | None = None) -> None:
        self.exploding = exploding
        self.clipped = clipped
        self.baseline = baseline

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        directory = Path(config.hydra.sweep.dir)
        runs = read_runs(directory)
        missing = {self.exploding, self.clipped} - {run.name for run in runs}
        if missing:
            log.info(f"{PICTURE} is not drawn: it needs the runs {self.exploding} and {self.clipped}, and {' and '.join(sorted(missing))} did not finish")
            return
        write_table(runs, directory / TABLE)
        draw(runs, self.exploding, self.clipped, self.baseline, directory / PICTURE)
        log.info(f"{directory / PICTURE} and {TABLE} compare {len(runs)} runs")


def read_runs(directory: Path) -> list[Run]:
    """The finished runs below a sweep's directory that have a gradient record, in the order in which they ran."""
    from seqlab.callbacks.gradient import RECORD, load_record  # not at import time: it needs torch, and --help does not

    found = []
    for file in sorted(directory.glob(f"*/{RECORD}"), key=lambda file: (file.parent / run_directory.CONFIG).stat().st_mtime):
        written = file.parent / run_directory.SUMMARY
        summary = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
        if summary.get("status") != "finished":  # it was killed, or has failed, with what it found until then
            continue
        with open(file.parent / run_directory.METRICS, encoding="utf-8", newline="") as text:
            losses = [(int(row["step"]), float(row["val/loss"])) for row in csv.DictReader(text) if row.get("val/loss")]
        found.append(Run(file.parent.name, summary, load_record(file), losses))
    return found


def write_table(runs: list[Run], path: Path) -> None:
    """results.csv: a row for each run."""
    rows = [
        {
            "run": run.name,
            "seed": run.summary["seed"],
            "parameters": run.summary["parameters"],
            "gradient_ratio_at_start": f"{run.ratio(0):.2e}",
            "gradient_ratio_after_training": f"{run.ratio(-1):.2e}",
            "largest_gradient_norm": f"{run.record['largest'].max():.2e}",
            "validation_loss_at_end": f"{run.losses[-1][1]:.5f}",
            **{name: f"{value:.5f}" for name, value in run.summary["metrics"].items() if name.startswith("test/")},
            "seconds": f"{run.summary['seconds']:.1f}",
            "executor": "+".join(sorted({choice["executor"] for choice in run.summary["executors"].values()})),
            "git_commit": run.summary["git_commit"],
        }
        for run in runs
    ]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def draw(runs: list[Run], exploding: str, clipped: str, baseline: float | None, path: Path) -> None:
    """Above, the runs that are clipped: gradient over time at start and end, loss. Below, the one that explodes and its cure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 9.5), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False)[:, 0]
    above.suptitle("Vanishing, and what cures it", fontweight="bold")
    below.suptitle("Exploding, and what tames it", fontweight="bold")
    start, end, loss = above.subplots(1, 3)
    others = [run for run in runs if run.name != exploding]
    for order, run in enumerate(others):
        color = f"C{order}" if order < 7 else ("black" if order == 7 else f"C{order % 10}")
        for axes, probe in ((start, 0), (end, -1)):
            norms = run.norms(probe)
            axes.plot(np.arange(1, len(norms) + 1), np.ma.masked_less_equal(norms / norms[-1], 0), color=color, label=run.name)
        loss.plot(*zip(*run.losses, strict=True), color=color, label=run.name)
    end.sharey(start)
    ratio = r"$\|\partial L/\partial h_t\|\ /\ \|\partial L/\partial h_T\|$"
    start.set(title="gradient over time, before training", xlabel="time t", ylabel=ratio, yscale="log")
    end.set(title=f"gradient over time, after {others[0].record['steps'][-1]} steps", xlabel="time t", yscale="log")
    loss.set(title="validation loss", xlabel="training step", yscale="log")
    for axes in (start, end):
        axes.axhline(SMALLEST, color="grey", linestyle=":", label="smallest number of float32")
    start.legend(fontsize="small")
    pair = {run.name: run for run in runs if run.name in (exploding, clipped)}
    time, norm, spoiled = below.subplots(1, 3)
    for name, color in ((exploding, "tab:red"), (clipped, "tab:blue")):
        run = pair[name]
        worst = int(np.argmax([np.nanmax(run.norms(p)) for p in range(len(run.record["steps"]))]))
        norms = run.norms(worst)
        time.plot(np.arange(1, len(norms) + 1), np.ma.masked_less_equal(norms, 0), color=color, label=f"{name}, after step {run.record['steps'][worst]}")
        norm.plot(run.record["steps"][1:], run.record["largest"][1:], color=color, marker=".", label=name)
        spoiled.plot(*zip(*run.losses, strict=True), color=color, label=name)
    time.set(title="gradient over time, when it is largest", xlabel="time t", ylabel=r"$\|\partial L/\partial h_t\|$", yscale="log")
    norm.set(title="largest gradient norm of a training batch, before clipping", xlabel="training step", xscale="log", yscale="log")
    spoiled.set(title="validation loss", xlabel="training step", yscale="log")
    if baseline is not None:
        spoiled.axhline(baseline, color="grey", linestyle="--", label="always the same answer")
        loss.legend([loss.axhline(baseline, color="grey", linestyle="--")], ["always the same answer"], fontsize="small", loc="lower left")
    for axes in (start, end, loss, time, norm, spoiled):
        axes.grid(alpha=0.3)
    for axes in (time, norm, spoiled):
        axes.legend(fontsize="small")
    save_picture(figure, path, dpi=110)
