"""rnn, gru and lstm at about equal size on tiny Shakespeare: python experiments/char_lm/run.py FILE [--seeds 1] [--runs DIR]

FILE is the text, input.txt of karpathy/char-rnn. Runs that are there already are read, not repeated. Writes results.csv and
char_lm.png beside this file.
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

from matplotlib.figure import Figure

HERE = Path(__file__).parent
CELLS = {"rnn": 526, "gru": 300, "lstm": 256}  # hidden_size for about 350,000 parameters
COLORS = {"rnn": "tab:orange", "gru": "tab:green", "lstm": "tab:blue"}


def train(cell: str, seed: int, text: Path, directory: Path) -> None:
    """One run of the experiment, unless its summary is there."""
    if (directory / "summary.json").exists():
        return
    command = [sys.executable, "-m", "seqlab.cli", "train", "experiment=char_lm", f"data.path={text}", f"cell={cell}", f"cell.hidden_size={CELLS[cell]}"]
    command += [f"seed={seed}", "trainer.max_epochs=3", f"hydra.run.dir={directory}", "trainer.enable_progress_bar=false"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def draw(runs: dict[tuple[str, int], Path], path: Path) -> None:
    """Validation bits per character over the training steps: a line per run, a colour per cell."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.subplots()
    for (cell, seed), directory in runs.items():
        with open(directory / "metrics.csv", newline="") as file:
            points = [(int(r["step"]), float(r["val/bits_per_character"])) for r in csv.DictReader(file) if r["val/bits_per_character"]]
        axis.plot(*zip(*points, strict=True), color=COLORS[cell], label=f"{cell}, {CELLS[cell]} units" if seed == 0 else None, marker="o", markersize=3)
    axis.set(xlabel="training step", ylabel="bits per character, validation", title="tiny Shakespeare, about 350,000 parameters, three epochs")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train, collect, write, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/char_lm_cells"))
    arguments = parser.parse_args()
    rows, runs = [], {}
    for seed in range(arguments.seeds):
        for cell in CELLS:
            runs[cell, seed] = arguments.runs / f"{cell}-{seed}"
            train(cell, seed, arguments.text.resolve(), runs[cell, seed])
            summary = json.loads((runs[cell, seed] / "summary.json").read_text())
            metrics = summary["metrics"]
            rows.append(
                {
                    "cell": cell,
                    "hidden_size": CELLS[cell],
                    "seed": seed,
                    "parameters": summary["parameters"],
                    "val_bits_per_character": round(metrics["val/bits_per_character"], 4),
                    "test_bits_per_character": round(metrics["test/bits_per_character"], 4),
                    "seconds": round(summary["seconds"], 1),
                }
            )
            print(rows[-1], flush=True)
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draw(runs, HERE / "char_lm.png")
    for cell in CELLS:
        mine = [row for row in rows if row["cell"] == cell]
        cells = [f"`{cell}`", str(CELLS[cell]), f"{mine[0]['parameters']:,}", *(spread(mine, f"{split}_bits_per_character") for split in ("val", "test"))]
        cells.append(f"{statistics.mean(row['seconds'] for row in mine):.0f}")
        print(f"| {' | '.join(cells)} |")


def spread(rows: list[dict[str, Any]], key: str) -> str:
    """Mean over the seeds and, where there are several, their range."""
    values = [row[key] for row in rows]
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
