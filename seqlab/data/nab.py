"""The Numenta Anomaly Benchmark: 58 series with labelled anomalies."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from seqlab.data.nab_files import SHA256
from seqlab.data.named import NamedData, NamedFile
from seqlab.data.watched_series import WatchedSeries
from seqlab.registry import unknown

PROBATION = 750  # rows, at most
LABELS = "labels/combined_windows.json"
SOURCE = "https://raw.githubusercontent.com/numenta/NAB/master/"
NAB_DATA = NamedData(
    "Numenta Anomaly Benchmark",
    "nab",
    "Numenta, https://github.com/numenta/NAB",
    "MIT",
    "A. Lavin and S. Ahmad, 2015, Evaluating real-time anomaly detection algorithms: the Numenta anomaly benchmark",
    tuple(NamedFile(path, SOURCE + path, sha256) for path, sha256 in SHA256.items()),
)


def nab_windows(data_dir: str | Path | None = None) -> dict[str, list[tuple[datetime, datetime]]]:
    """{series: first and last time of each labelled window}, in the order of the benchmark."""
    labels: dict[str, list[list[str]]] = json.loads(NAB_DATA.find(LABELS, data_dir).read_text(encoding="utf-8"))
    return {name: [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in windows] for name, windows in labels.items()}


class NAB(WatchedSeries):
    """One of the 58 series, trained on its probation: the first 15 % of its rows, at most max_training.

    series: its path, such as realKnownCause/nyc_taxi.csv. options: those of WatchedSeries.
    """

    def __init__(
        self, series: str = "realKnownCause/nyc_taxi.csv", data_dir: str | Path | None = None, max_training: int | None = PROBATION, **options: Any
    ) -> None:
        super().__init__(max_training=max_training, **options)
        self.series, self.data_dir = series, data_dir

    @property
    def file(self) -> Path:
        known = nab_windows(self.data_dir)
        if self.series not in known:
            raise ValueError(unknown("series of NAB", self.series, list(known), "Choose one with data.series=NAME."))
        return NAB_DATA.find(f"data/{self.series}", self.data_dir)

    @property
    def windows(self) -> list[tuple[datetime, datetime]]:
        """First and last time of each labelled window."""
        return nab_windows(self.data_dir)[self.series]
