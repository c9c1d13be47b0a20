"""One LSTM forecaster for all 58 series of NAB, scored as the benchmark does: python experiments/nab/run.py [--seeds 1] [--scores DIR] [OVERRIDE …]

Each series is trained on its probation and then watched row by row, in this process; OVERRIDEs are those of `seqlab train experiment=nab`. Scores
that are in DIR already are read, not computed again. Writes results.csv and nyc_taxi.png beside this file.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from pathlib import Path

import lightning.pytorch as L
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from seqlab.build import build_data, build_task
from seqlab.config import config_folder
from seqlab.data.dates import read_dates
from seqlab.data.nab import NAB, nab_windows
from seqlab.data.watched_series import WholeSeries
from seqlab.metrics import NABScore, window_rows
from seqlab.pictures.forecast import draw_anomalies
from seqlab.tasks import AnomalyDetection
from seqlab.train import quiet_libraries

HERE = Path(__file__).parent
DRAWN = "realKnownCause/nyc_taxi.csv"
OPTIONS = ["experiment=nab", "logger=none", "trainer.enable_progress_bar=false", "trainer.limit_val_batches=0"]


def watch(series: str, seed: int, overrides: list[str]) -> torch.Tensor:
    """The score of each row of a series, from a model that has seen its probation and the rows before."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [*OPTIONS, f"data.series={series}", f"seed={seed}", *overrides])
    L.seed_everything(seed, verbose=False)
    data = build_data(config)
    task = build_task(config, data.spec)
    task.prepare(data)
    instantiate(config.trainer)(logger=False, enable_checkpointing=False).fit(task, data.train_dataloader())
    whole = data.splits["test"]
    assert isinstance(whole, WholeSeries)
    assert isinstance(task, AnomalyDetection)
    return task.anomaly_scores(whole.example.inputs, whole.example.targets)


def rows_of_windows(series: str) -> tuple[list[float], list[tuple[int, int]]]:
    """The values, and the labelled windows by row."""
    data = NAB(series)
    table = data._read(data.file)
    return [row[0] for row in table.numbers([table.column("value")])], window_rows(read_dates(table, table.column("timestamp"), rising=False), data.windows)


def main() -> None:
    """Score all series for each seed, write, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--scores", type=Path, default=Path("runs/nab"))
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quiet_libraries()
    logging.getLogger("seqlab").setLevel(logging.ERROR)  # gaps in the dates of 20 series
    rows = []
    for seed in range(arguments.seeds):
        metric, seconds = NABScore(), 0.0
        for series in nab_windows():
            kept = arguments.scores / str(seed) / f"{series}.pt"
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                started = time.perf_counter()
                torch.save({"scores": watch(series, seed, arguments.overrides), "seconds": time.perf_counter() - started}, kept)
            found = torch.load(kept)
            seconds += found["seconds"]
            metric.update(found["scores"], rows_of_windows(series)[1])
        figures = {name: round(float(value), 2) for name, value in metric.compute().items()}
        rows.append({"seed": seed, **figures, "threshold": round(metric.thresholds()["standard"], 3), "seconds": round(seconds, 1)})
        print(rows[-1], flush=True)
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    values, windows = rows_of_windows(DRAWN)
    scores, threshold = torch.load(arguments.scores / "0" / f"{DRAWN}.pt")["scores"], rows[0]["threshold"]
    draw_anomalies(HERE / "nyc_taxi.png", {"taxi passengers": values}, scores.tolist(), (scores >= threshold).tolist(), threshold, windows)


if __name__ == "__main__":
    main()
