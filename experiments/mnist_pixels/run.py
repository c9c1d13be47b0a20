"""MNIST pixel by pixel: python experiments/mnist_pixels/run.py [--variants NAME …] [--runs DIR]

The variants are listed below. The data is found as `seqlab train` finds it, or downloaded. Runs that are there already are read, not repeated.
Writes results.csv and mnist_pixels.png beside this file.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import read, train

HERE = Path(__file__).parent
MIXED = ["encoder.cell=[lru,min_gru]", "encoder.hidden_size=64"]
GRU = ["cell=gru", "optimizer.lr=0.002", "trainer.max_epochs=2"]
VARIANTS = {
    "plain lru-min_gru": [*MIXED, "optimizer.lr=0.01", "trainer.max_epochs=14"],
    "plain lru-min_gru more": [*MIXED, "optimizer.lr=0.006", "trainer.max_epochs=8", "init_from={runs}/plain lru-min_gru-0"],
    "permuted lru-min_gru": [*MIXED, "optimizer.lr=0.01", "trainer.max_epochs=2", "data.reading=permuted"],
    "plain gru": GRU,
    "permuted gru": [*GRU, "data.reading=permuted"],
}


def main() -> None:
    """Train, collect, write, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/mnist_pixels"))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    arguments = parser.parse_args()
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    rows, ends = [], {}
    for name in arguments.variants:
        directory = arguments.runs / f"{name}-0"
        train(["experiment=mnist_pixels", *(word.format(runs=arguments.runs) for word in VARIANTS[name])], 0, directory)
        rows.append(read(name, 0, directory, ["accuracy"]))
        print(rows[-1], flush=True)
        with open(directory / "metrics.csv", newline="") as file:
            accuracies = [100 * float(row["val/accuracy"]) for row in csv.DictReader(file) if row["val/accuracy"]]
        before = ends.get(name.removesuffix(" more"), 0)  # epochs of the run whose weights this one began with
        ends[name] = before + len(accuracies)
        axes.plot(range(before + 1, ends[name] + 1), accuracies, marker="o", markersize=3, label=name)
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    axes.axhline(97, color="grey", linestyle="--", label="goal")
    axes.set(xlabel="epoch", ylabel="accuracy, validation, %", ylim=(0, 100), title="MNIST, 784 steps of one pixel")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(HERE / "mnist_pixels.png", dpi=120)


if __name__ == "__main__":
    main()
