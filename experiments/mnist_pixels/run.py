"""MNIST pixel by pixel: python experiments/mnist_pixels/run.py [--epochs 4] [--cells gru,lstm] [--runs DIR]

Each cell on the plain order and on the permuted one. The data is found as `seqlab train` finds it, or downloaded. Runs that are there already are
read, not repeated, those that were stopped too. Writes results.csv and mnist_pixels.png beside this file.
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
READINGS = ("pixels", "permuted")


def main() -> None:
    """Train, collect, write, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--cells", default="gru,lstm")
    parser.add_argument("--readings", default=",".join(READINGS))
    parser.add_argument("--runs", type=Path, default=Path("runs/mnist_pixels"))
    arguments = parser.parse_args()
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    rows = []
    for reading in arguments.readings.split(","):
        for cell in arguments.cells.split(","):
            directory = arguments.runs / f"{reading}-{cell}-{arguments.epochs}"
            if not (directory / "summary.json").exists():
                command = [sys.executable, "-m", "seqlab.cli", "train", "experiment=mnist_pixels", f"data.reading={reading}", f"cell={cell}"]
                command += [f"trainer.max_epochs={arguments.epochs}", f"hydra.run.dir={directory}", "trainer.enable_progress_bar=false"]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            summary = json.loads((directory / "summary.json").read_text())
            with open(directory / "metrics.csv", newline="") as file:
                points = [(int(row["epoch"]) + 1, float(row["val/accuracy"])) for row in csv.DictReader(file) if row["val/accuracy"]]
            metrics = summary["metrics"]
            test = round(metrics["test/accuracy"], 4) if "test/accuracy" in metrics else ""
            figures = {"epochs": len(points), "of": arguments.epochs, "val_accuracy": round(metrics["val/accuracy"], 4), "test_accuracy": test}
            rows.append({"reading": reading, "cell": cell, **figures, "parameters": summary["parameters"], "seconds": round(summary["seconds"], 1)})
            print(rows[-1], flush=True)
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"{cell}, {reading}")
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    axes.set(xlabel="epoch", ylabel="accuracy, validation", ylim=(0, 1), title="MNIST, 784 steps of one pixel")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(HERE / "mnist_pixels.png", dpi=120)


if __name__ == "__main__":
    main()
