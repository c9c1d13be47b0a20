"""Strings reversed, with attention and without, in the lengths of training and beyond: python experiments/reverse/run.py [--seeds 1] [--runs DIR]

Writes results.csv, reverse.png (exact strings by length) and attention.png beside this file.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from pathlib import Path

from matplotlib.figure import Figure

from seqlab.evaluate import evaluate

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import COLORS, read, train

HERE = Path(__file__).parent
VARIANTS = {"attention": ["experiment=reverse"], "no attention": ["experiment=reverse", "attention=none"]}
STEP = 4  # lengths to a point of the picture
LENGTHS = [(first, first + STEP - 1) for first in range(1, 41, STEP)]


def exact(run: Path, first: int, last: int) -> float:
    """The share of strings of these lengths that the run reverses without a mistake."""
    return evaluate(run, changes=[f"data.test_min_length={first}", f"data.test_max_length={last}"])["test/exact_match"]


def main() -> None:
    """Train unless the runs are there, test, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/reverse"), help="folder of the runs; those that are there are read, not repeated")
    parser.add_argument("overrides", nargs="*", help="further overrides for every run")
    arguments = parser.parse_args()
    rows = []
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for color, (name, overrides) in zip(COLORS, VARIANTS.items(), strict=False):
        for seed in range(arguments.seeds):
            run = arguments.runs / f"{name}-{seed}"
            train([*overrides, *arguments.overrides], seed, run)
            longer = {"test_exact_match_21_to_40": round(exact(run, 21, 40), 4)}
            rows.append({**read(name, seed, run, ["exact_match"]), **longer})
            print(rows[-1], flush=True)
            points = [100 * exact(run, first, last) for first, last in LENGTHS]
            axes.plot([(first + last) / 2 for first, last in LENGTHS], points, marker="o", color=color, label=name if seed == 0 else None)
    axes.axvline(20.5, color="grey", linestyle="--", label="longest of training")
    axes.set(xlabel="length of the string", ylabel="strings reversed without a mistake, %", title="reverse", ylim=(-3, 103))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(HERE / "reverse.png", dpi=120)
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    shutil.copy(arguments.runs / "attention-0" / "attention.png", HERE / "attention.png")


if __name__ == "__main__":
    main()
