"""Which cells learn to add, and which carry on: trains every registered cell on 8 bits and tests it on 8, 16, 32 and 64.

python experiments/binary_addition/run.py [--seeds 3] [--runs DIR]

Runs that are there already are read, not repeated. Writes results.csv and binary_addition.png beside this file.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from seqlab.data.base import Batch
from seqlab.data.binary_addition import BinaryAddition
from seqlab.registry import list_cells
from seqlab.runs import load_run

HERE = Path(__file__).parent
LENGTHS = (8, 16, 32, 64)


def train(cell: str, num_layers: int, seed: int, directory: Path) -> None:
    """One run of the experiment, unless its summary is there."""
    if (directory / "summary.json").exists():
        return
    command = [sys.executable, "-m", "seqlab.cli", "train", "experiment=binary_addition_cells", f"cell={cell}", f"encoder.num_layers={num_layers}"]
    subprocess.run([*command, f"seed={seed}", f"hydra.run.dir={directory}", "trainer.enable_progress_bar=false"], check=True, stdout=subprocess.DEVNULL)


@torch.no_grad()
def exact_match(directory: Path, num_bits: int) -> float:
    """Share of sums of `num_bits` bits that the run's best checkpoint gets right in every bit."""
    task = load_run(directory).task.eval()
    data = BinaryAddition(num_pairs=1, test_num_bits=num_bits, max_eval_pairs=16_384, eval_batch_size=16_384, seed=1)
    data.setup()
    split = data.splits["test"]
    sums = task.predict(Batch(split.inputs, split.targets))
    return float((sums == split.targets).flatten(1).all(1).float().mean())


def draw(rows: list[dict], path: Path) -> None:
    """A field for each cell and length, one panel per depth: the median over the seeds and, where they differ, their range."""
    depths = sorted({int(row["num_layers"]) for row in rows})
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    figure = Figure(figsize=(5.2 * len(depths) + 1.5, 0.42 * len(cells) + 1.5), layout="constrained")
    panels = figure.subplots(1, len(depths), squeeze=False, sharey=True)[0]
    for axis, depth in zip(panels, depths, strict=True):
        fields = [
            [sorted(float(r["exact_match"]) for r in rows if (r["cell"], int(r["num_layers"]), int(r["num_bits"])) == (c, depth, n)) for n in LENGTHS]
            for c in cells
        ]
        image = axis.imshow([[statistics.median(field) for field in line] for line in fields], vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for y, line in enumerate(fields):
            for x, field in enumerate(line):
                low, middle, high = (f"{100 * v:.4g}" for v in (field[0], statistics.median(field), field[-1]))
                text = middle if low == high else f"{middle}\n{low} to {high}"
                axis.text(x, y, text, ha="center", va="center", fontsize=7, color="black" if statistics.median(field) > 0.6 else "white")
        axis.set(title=f"{depth} layer{'s' if depth > 1 else ''}", xlabel="bits in the test (trained on 8)")
        axis.set_xticks(range(len(LENGTHS)), [str(length) for length in LENGTHS])
        axis.set_yticks(range(len(cells)), cells)
    figure.colorbar(image, ax=panels, label="share of sums with every bit right")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train, test, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/binary_addition_cells"))
    arguments = parser.parse_args()
    rows = []
    for cell in [info.name for info in list_cells() if info.origin == "seqlab"]:
        for depth in arguments.depths:
            for seed in range(arguments.seeds):
                directory = arguments.runs / f"{cell}-{depth}-{seed}"
                train(cell, depth, seed, directory)
                summary = json.loads((directory / "summary.json").read_text())
                for length in LENGTHS:
                    rows.append(
                        {
                            "cell": cell,
                            "num_layers": depth,
                            "seed": seed,
                            "num_bits": length,
                            "exact_match": round(exact_match(directory, length), 5),
                            "parameters": summary["parameters"],
                            "seconds": round(summary["seconds"], 1),
                        }
                    )
                print(f"{cell:<16} {depth} layers, seed {seed}: " + "  ".join(f"{row['num_bits']}: {row['exact_match']:.4f}" for row in rows[-4:]), flush=True)
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, HERE / "binary_addition.png")


if __name__ == "__main__":
    main()
