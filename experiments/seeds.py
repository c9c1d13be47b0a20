"""Variants of an experiment, each with several seeds: trained unless their runs are there, then results.csv, a table and a picture."""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red")


def main(here: Path, text: str, variants: Mapping[str, Sequence[str]], metrics: Sequence[str], percent: bool = True) -> Path:
    """here: the folder of the experiment. text: for --help. variants: {name: overrides of `seqlab train`}. metrics: to report, the first is drawn.

    Returns the folder of the runs, {variant}-{seed} each.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs") / here.name, help="folder of the runs; those that are there are read, not repeated")
    parser.add_argument("--variants", nargs="+", choices=list(variants), default=list(variants))
    parser.add_argument("overrides", nargs="*", help="further overrides for every run")
    arguments = parser.parse_args()
    runs = {(name, seed): arguments.runs / f"{name}-{seed}" for seed in range(arguments.seeds) for name in arguments.variants}
    rows = []
    for (name, seed), directory in runs.items():
        train([*variants[name], *arguments.overrides], seed, directory)
        rows.append(read(name, seed, directory, metrics))
        print(rows[-1], flush=True)
    with open(here / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draw(runs, f"val/{metrics[0]}", here / f"{here.name}.png")
    for name in arguments.variants:
        mine = [row for row in rows if row["variant"] == name]
        cells = [name, f"{mine[0]['parameters']:,}", *(spread(mine, f"{split}_{metric}", percent) for metric in metrics for split in ("val", "test"))]
        print(f"| {' | '.join([*cells, spread(mine, 'seconds', False, 0)])} |")
    return arguments.runs


def train(overrides: Sequence[str], seed: int, directory: Path) -> None:
    """One run, unless its summary is there."""
    if (directory / "summary.json").exists():
        return
    command = [sys.executable, "-m", "seqlab.cli", "train", *overrides, f"seed={seed}", f"hydra.run.dir={directory}", "trainer.enable_progress_bar=false"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def read(name: str, seed: int, directory: Path, metrics: Sequence[str]) -> dict[str, Any]:
    """The row of a run: its metrics, and what it took."""
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    values = {f"{split}_{metric}": round(summary["metrics"][f"{split}/{metric}"], 4) for metric in metrics for split in ("val", "test")}
    rest = {"seconds": round(summary["seconds"], 1), "commit": str(summary["git_commit"])[:7]}
    return {"variant": name, "seed": seed, "parameters": summary["parameters"], "epochs": summary["epochs"], **values, **rest}


def draw(runs: Mapping[tuple[str, int], Path], metric: str, path: Path) -> None:
    """The validation metric over the training steps: a line per run, a colour per variant."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    colors = dict(zip(dict.fromkeys(name for name, _ in runs), COLORS, strict=False))
    for (name, seed), directory in runs.items():
        with open(directory / "metrics.csv", newline="") as file:
            points = [(int(row["step"]), float(row[metric])) for row in csv.DictReader(file) if row[metric]]
        axes.plot(*zip(*points, strict=True), color=colors[name], label=name if seed == 0 else None, marker="o", markersize=3)
    axes.set(xlabel="training step", ylabel=f"{metric.removeprefix('val/').replace('_', ' ')}, validation", title=path.stem)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def spread(rows: Sequence[Mapping[str, Any]], key: str, percent: bool, digits: int = 1) -> str:
    """Mean over the seeds, and their range when there are several."""
    values = [row[key] * (100 if percent else 1) for row in rows]
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"
