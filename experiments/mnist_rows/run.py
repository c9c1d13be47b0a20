"""MNIST row by row: python experiments/mnist_rows/run.py [--seeds 3] [--runs DIR]

The data is found as `seqlab train` finds it, or downloaded. Runs that are there already are read, not repeated. Writes results.csv and mnist_rows.png
beside this file.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent


def main() -> None:
    """Train, collect, write, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/mnist_rows"))
    arguments = parser.parse_args()
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    rows = []
    for seed in range(arguments.seeds):
        directory = arguments.runs / f"lstm-{seed}"
        if not (directory / "summary.json").exists():
            command = [sys.executable, "-m", "seqlab.cli", "train", "experiment=mnist_rows", f"seed={seed}"]
            subprocess.run([*command, f"hydra.run.dir={directory}", "trainer.enable_progress_bar=false"], check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((directory / "summary.json").read_text())
        metrics = summary["metrics"]
        accuracies = {f"{split}_accuracy": round(metrics[f"{split}/accuracy"], 4) for split in ("val", "test")}
        rows.append({"seed": seed, "parameters": summary["parameters"], **accuracies, "seconds": round(summary["seconds"], 1)})
        print(rows[-1], flush=True)
        with open(directory / "metrics.csv", newline="") as file:
            points = [(int(row["epoch"]) + 1, float(row["val/accuracy"])) for row in csv.DictReader(file) if row["val/accuracy"]]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"seed {seed}")
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    axes.set(xlabel="epoch", ylabel="accuracy, validation", title="MNIST, 28 rows of 28 pixels, lstm")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(HERE / "mnist_rows.png", dpi=120)


if __name__ == "__main__":
    main()
