"""Movement in an office: stratified folds, and each environment left out: python experiments/indoor_movement/run.py [--seeds 3]

The archive is found as `seqlab train` finds it. Trains in this process, with the config of `seqlab train experiment=indoor_movement`. Writes
results.csv and indoor_movement.png beside this file.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure

from seqlab import train as training
from seqlab.config import config_folder
from seqlab.resume import Start

HERE = Path(__file__).parent
SPLITS = {
    **{f"fold {fold}": [f"data.fold={fold}"] for fold in range(5)},
    **{f"environment {group} left out": ["data.num_folds=null", f"data.leave_out={group}"] for group in (1, 2, 3)},
}


def accuracy(split: list[str], seed: int) -> float:
    """Of the test sequences, after a training without a look at them."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["experiment=indoor_movement", "logger=none", "trainer.enable_progress_bar=false", f"seed={seed}", *split])
    with tempfile.TemporaryDirectory() as directory:
        resolved: Any = training.OmegaConf.to_container(config, resolve=True)
        start = Start()
        data, task, trainer = training.build(config, resolved, Path(directory), start)
        return training.fit_and_test(config, data, task, trainer, start)["test/accuracy"]


def main() -> None:
    """Train, collect, write, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    training.quiet_libraries()
    rows = []
    for name, split in SPLITS.items():
        for seed in range(arguments.seeds):
            started = time.perf_counter()
            rows.append({"test": name, "seed": seed, "accuracy": round(accuracy(split, seed), 4), "seconds": round(time.perf_counter() - started, 1)})
            print(rows[-1], flush=True)
            publish(rows)
    for name in SPLITS:
        values = [row["accuracy"] for row in rows if row["test"] == name]
        print(f"| {name} | {statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f}) |")
    print(f"mean of the folds: {statistics.mean(row['accuracy'] for row in rows if row['test'].startswith('fold')):.4f}")


def publish(rows: list[dict[str, Any]]) -> None:
    """Write what is there so far."""
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    names = list(dict.fromkeys(row["test"] for row in rows))
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(names):
        values = [row["accuracy"] for row in rows if row["test"] == name]
        axes.plot(values, [place] * len(values), "o", color="tab:blue" if name.startswith("fold") else "tab:orange", alpha=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel="accuracy, test; a point for each seed")
    axes.grid(alpha=0.3)
    figure.savefig(HERE / "indoor_movement.png", dpi=120)


if __name__ == "__main__":
    main()
