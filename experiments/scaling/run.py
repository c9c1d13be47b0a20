"""One and two processes at equal global batch, in the lab and in a bare loop: python experiments/scaling/run.py [--steps 1000] [--rounds 2]

Trains the character model of `experiment=char_lm` on the CPU. A process has one thread, or two where there is one process for both cores. The
sides take turns within a round. Writes results.csv and scaling.png beside this file, prints the table.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent
SHORT = 40  # steps
BATCH = 32  # sequences of all processes together
SIZES = (128, 256)  # hidden units
WAYS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}  # (processes, threads)


def lab(processes: int, overrides: list[str], steps: int, environment: dict[str, str]) -> float:
    """Tokens per second of `seqlab train`, all callbacks and records included: of the last steps of a run, without the SHORT first ones,
    in which steps are compiled, and without what a run of that length takes to begin and to end.
    """
    short, long = (seconds_and_tokens(processes, overrides, number, environment) for number in (SHORT, SHORT + steps))
    return (long[1] - short[1]) / (long[0] - short[0])


def seconds_and_tokens(processes: int, overrides: list[str], steps: int, environment: dict[str, str]) -> tuple[float, float]:
    """What the summary of a run says of its training."""
    with tempfile.TemporaryDirectory() as folder:
        several = ["trainer=ddp", f"trainer.devices={processes}"] if processes > 1 else []
        words = [*several, "trainer.accelerator=cpu", f"data.batch_size={BATCH}", f"trainer.max_steps={steps}", f"hydra.run.dir={folder}/run", *overrides]
        quick = ["trainer.limit_val_batches=0", "trainer.limit_test_batches=1", "trainer.enable_progress_bar=false"]
        command = [sys.executable, "-m", "seqlab.cli", "train", "experiment=char_lm", *quick, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text(encoding="utf-8"))
    return summary["steps"] / summary["steps_per_second"], summary["steps"] * summary["tokens_per_second"] / summary["steps_per_second"]


def bare(processes: int, overrides: list[str], steps: int, environment: dict[str, str]) -> float:
    """Tokens per second of bare.py."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else [sys.executable]
    command = [*start, str(HERE / "bare.py"), str(steps), f"data.batch_size={BATCH // processes}", *overrides]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(json.loads(done.stdout.strip().splitlines()[-1])["tokens_per_second"])


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    rows = []
    for hidden in SIZES:
        overrides = [f"cell.hidden_size={hidden}"]
        speeds: dict[tuple[str, str], list[float]] = {}
        for _ in range(arguments.rounds):
            for way, (processes, threads) in WAYS.items():
                environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
                for side, measure in (("lab", lab), ("bare", bare)):
                    speeds.setdefault((way, side), []).append(measure(processes, overrides, arguments.steps, environment))
        one = statistics.median(speeds[next(iter(WAYS)), "lab"])
        for way in WAYS:
            inside, outside = (statistics.median(speeds[way, side]) for side in ("lab", "bare"))
            figures = {"lab_tokens_per_second": round(inside), "bare_tokens_per_second": round(outside)}
            rows.append({"hidden": hidden, "way": way, **figures, "times_one": round(inside / one, 2), "bare_over_lab": round(outside / inside, 3)})
            print(rows[-1], flush=True)
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for place, way in enumerate(WAYS):
        mine = [row["times_one"] for row in rows if row["way"] == way]
        axes.bar([index + 0.27 * (place - 1) for index in range(len(SIZES))], mine, 0.25, label=way)
    axes.set(
        xticks=range(len(SIZES)),
        xticklabels=[f"{hidden} units" for hidden in SIZES],
        ylabel="throughput, times that of one process",
        title="scaling on two cores",
    )
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.legend(frameon=False)
    figure.savefig(HERE / "scaling.png", dpi=120)


if __name__ == "__main__":
    main()
