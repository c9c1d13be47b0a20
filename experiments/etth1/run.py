"""One GRU on ETTh1, five horizons: python experiments/etth1/run.py [--seeds 3] [--runs DIR]

The data is found as `seqlab train` finds it, or downloaded. Runs that are there already are read, not repeated. Writes results.csv, etth1.png (errors
by horizon) and forecast.png (a test window, 336 hours ahead) beside this file.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from seqlab.build import build_data
from seqlab.data.windows import WindowSplit
from seqlab.pictures.forecast import draw_forecast
from seqlab.runs import load_run

HERE = Path(__file__).parent
HORIZONS = (24, 48, 168, 336, 720)
LSTMA = (0.650, 0.702, 1.212, 1.424, 1.960)  # Zhou et al., 2021, Informer, table of multivariate results: MSE
S4 = {24: 0.525, 720: 1.162}
DRAWN = 336  # the horizon of forecast.png


def train(horizon: int, seed: int, directory: Path) -> dict[str, Any]:
    """The summary of one run of the experiment, which is trained unless it is there."""
    if not (directory / "summary.json").exists():
        command = [sys.executable, "-m", "seqlab.cli", "train", "experiment=etth1", f"data.horizon={horizon}", f"seed={seed}"]
        subprocess.run([*command, f"hydra.run.dir={directory}", "trainer.enable_progress_bar=false"], check=True, stdout=subprocess.DEVNULL)
    return json.loads((directory / "summary.json").read_text())


def draw_errors(rows: list[dict[str, Any]], path: Path) -> None:
    """Test MSE by horizon, a point for each seed, beside the published rows."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(HORIZONS, LSTMA, marker="s", color="0.5", label="LSTMa, published")
    axes.plot(*zip(*S4.items(), strict=True), marker="^", linestyle="", color="tab:purple", label="S4, published")
    means = [statistics.mean(row["test_mse"] for row in rows if row["horizon"] == horizon) for horizon in HORIZONS]
    axes.plot(HORIZONS, means, color="tab:blue", label="gru, mean of the seeds")
    axes.plot([row["horizon"] for row in rows], [row["test_mse"] for row in rows], "o", markersize=3, color="tab:blue")
    axes.set(xlabel="horizon, hours", ylabel="test MSE", xscale="log", ylim=(0, None), title="ETTh1, seven series")
    axes.set_xticks(HORIZONS, map(str, HORIZONS))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def draw_window(directory: Path, path: Path) -> None:
    """The first test window of a run, its forecast and what came, standardised."""
    run = load_run(directory)
    data = build_data(run.config)
    split = data.splits["test"]
    assert isinstance(split, WindowSplit)
    batch = split.__getitems__([0])  # a row for each series
    answers = run.task.answer(batch)
    names = json.loads((directory / "series.json").read_text())["series"]
    forecast = {name: [value for (value,) in answer["forecast"]] for name, answer in zip(names, answers, strict=True)}
    past, actual = ({name: part[row, :, 0].tolist() for row, name in enumerate(names)} for part in (batch.inputs, batch.targets))
    draw_forecast(path, past, forecast, actual=actual)


def main() -> None:
    """Train, collect, write, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/etth1"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(arguments.seeds):
        for horizon in HORIZONS:
            summary = train(horizon, seed, arguments.runs / f"{horizon}-{seed}")
            metrics = summary["metrics"]
            figures = {f"test_{name}": round(metrics[f"test/{name}"], 4) for name in ("mse", "mae", "mase")}
            rows.append({"horizon": horizon, "seed": seed, "parameters": summary["parameters"], **figures, "seconds": round(summary["seconds"], 1)})
            print(rows[-1], flush=True)
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draw_errors(rows, HERE / "etth1.png")
    draw_window(arguments.runs / f"{DRAWN}-0", HERE / "forecast.png")
    for horizon, published in zip(HORIZONS, LSTMA, strict=True):
        mine = [row for row in rows if row["horizon"] == horizon]
        figures = [
            f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
            for values in ([row[key] for row in mine] for key in ("test_mse", "test_mae"))
        ]
        print(f"| {horizon} | {' | '.join(figures)} | {published} |")


if __name__ == "__main__":
    main()
