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
    """Exact match over the length, one panel per depth, a line per cell; where seeds differ, their mean and range."""
    depths = sorted({row["num_layers"] for row in rows})
    figure = Figure(figsize=(6.5 * len(depths), 5), layout="constrained")
    for axis, depth in zip(figure.subplots(1, len(depths), squeeze=False)[0], depths, strict=True):
        cells = list(dict.fromkeys(row["cell"] for row in rows))
        for i, cell in enumerate(cells):
            means, lows, highs = [], [], []
            for length in LENGTHS:
                found = [row["exact_match"] for row in rows if (row["cell"], row["num_layers"], row["num_bits"]) == (cell, depth, length)]
                means.append(statistics.mean(found))
                lows.append(statistics.mean(found) - min(found))
                highs.append(max(found) - statistics.mean(found))
            places = [k + 0.03 * (i - len(cells) / 2) for k in range(len(LENGTHS))]
            style = {"marker": "osv^D*"[i // 10 if i >= 10 else i % 6], "linestyle": "-" if i < 10 else "--", "color": f"C{i % 10}"}
            axis.errorbar(places, means, yerr=[lows, highs], label=cell, capsize=2, markersize=4, **style)
        axis.set(title=f"{depth} layer{'s' if depth > 1 else ''}", xlabel="bits in the test (trained on 8)", ylabel="sums with every bit right")
        axis.set_xticks(range(len(LENGTHS)), [str(length) for length in LENGTHS])
        axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
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
