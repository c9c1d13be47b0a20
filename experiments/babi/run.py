"""The twenty tasks of bAbI, learned together: python experiments/babi/run.py [--seeds 1] [--runs DIR]

Writes results.csv (a row for each task), babi.png (bars beside the published LSTM) and attention.png beside this file.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import statistics
import sys
from pathlib import Path

from matplotlib.figure import Figure

from seqlab.build import build_data
from seqlab.data.babi import TASKS
from seqlab.metrics.written import WrittenMetrics
from seqlab.runs import load_run, read_config
from seqlab.tasks import SequenceToSequence

sys.path.insert(0, str(Path(__file__).parents[1]))
from seeds import read, train

HERE = Path(__file__).parent
PUBLISHED = (50, 20, 20, 61, 70, 48, 49, 45, 64, 44, 72, 74, 94, 27, 21, 23, 51, 52, 8, 91)  # an LSTM of J. Weston et al., 2015, table 3


def by_task(run: Path) -> list[float]:
    """Exact answers to the 1,000 test questions of each task, in %."""
    task = load_run(run).task
    assert isinstance(task, SequenceToSequence)
    config = read_config(run)
    data = build_data(config)
    metrics = [WrittenMetrics() for _ in config.data.tasks]
    row = 0
    for batch in data.test_dataloader():  # in the order of the tasks, 1,000 each, of which eval_batch_size is a divisor
        outcome = task.outcome(batch)
        metrics[row // 1000].update(outcome.predictions, outcome.targets)
        row += len(batch.inputs)
    return [100 * float(metric.compute()["exact_match"]) for metric in metrics]


def main() -> None:
    """Train unless the runs are there, test each task, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/babi"), help="folder of the runs; those that are there are read, not repeated")
    parser.add_argument("overrides", nargs="*", help="further overrides for every run")
    arguments = parser.parse_args()
    rows = []
    for seed in range(arguments.seeds):
        run = arguments.runs / f"attention-{seed}"
        train(["experiment=babi", *arguments.overrides], seed, run)
        print(read("attention", seed, run, ["exact_match"]), flush=True)
        for number, (name, accuracy, published) in enumerate(zip(TASKS, by_task(run), PUBLISHED, strict=True), 1):
            rows.append({"task": number, "name": name, "seed": seed, "accuracy": round(accuracy, 1), "published_lstm": published})
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    means = [statistics.mean(row["accuracy"] for row in rows if row["task"] == number) for number in range(1, 21)]
    for number, (name, mean, published) in enumerate(zip(TASKS, means, PUBLISHED, strict=True), 1):
        print(f"| {number} | {name} | {mean:.1f} | {published} |")
    print(f"| | mean | {statistics.mean(means):.1f} | {statistics.mean(PUBLISHED):.1f} |")
    draw(means)
    shutil.copy(arguments.runs / "attention-0" / "attention.png", HERE / "attention.png")


def draw(means: list[float]) -> None:
    """Bars for each task, ours beside the published."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    places = range(1, 21)
    axes.bar([place - 0.2 for place in places], means, 0.4, label=f"attention over the story, mean {statistics.mean(means):.1f}")
    axes.bar([place + 0.2 for place in places], PUBLISHED, 0.4, label=f"published LSTM, mean {statistics.mean(PUBLISHED):.1f}", color="lightgrey")
    axes.axhline(65, color="black", linewidth=0.8, linestyle="--")
    axes.set_xticks(list(places), [f"{place} {name}" for place, name in enumerate(TASKS, 1)], rotation=60, ha="right", fontsize=8)
    axes.set(ylabel="test questions answered exactly, %", ylim=(0, 103), title="bAbI, 1,000 training questions for each task")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.05), ncols=2)
    figure.savefig(HERE / "babi.png", dpi=120)


if __name__ == "__main__":
    main()
