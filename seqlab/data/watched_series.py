"""Series that are watched for anomalies: the first part trains, the whole is scored. Dimension key: N rows, T window, I inputs, V series."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqlab.data.base import DataSpec, Example
from seqlab.data.dates import read_dates
from seqlab.data.number_tables import Table
from seqlab.data.series_columns import date_column
from seqlab.data.time_series import TimeSeries
from seqlab.data.windows import WindowSplit
from seqlab.pictures.forecast import draw_anomalies

WATCHED = 5  # every so many training windows are looked at in validation: they choose nothing


class WatchedSeries(TimeSeries):
    """A table that is watched row by row. Training sees the first `train_fraction` of its rows and at most `max_training`; the test is
    the whole, in order. Validation repeats some training windows.

    train, test: in place of path, a table that trains as a whole, but for max_training, and one that is scored. calendar: two further
    inputs, sine and cosine of the time of day, where the table has a date. options: those of TimeSeries.
    """

    def __init__(self, train_fraction: float = 0.15, max_training: int | None = None, calendar: bool = False, window: int = 64, **options: Any) -> None:
        if not 0 < train_fraction <= 1:
            raise ValueError(f"data.train_fraction is {train_fraction}; expected a share above 0 and at most 1.")
        if max_training is not None and max_training < 1:
            raise ValueError(f"data.max_training is {max_training}; expected at least 1 row, or null for no limit.")
        super().__init__(window=window, horizon=1, fractions=(train_fraction, (1 - train_fraction) / 2, (1 - train_fraction) / 2), **options)
        if self.sources is not None and (self.sources.path is not None or self.sources.val is not None):
            raise ValueError("data.val or data.path is given beside data.train; expected data.train and data.test, for nothing is chosen by a validation here.")
        if self.each_alone:
            raise ValueError("data.each_alone is true; expected false: the error of a row is that of all series together. Watch each in a run of its own.")
        self.max_training, self.calendar = max_training, calendar
        self.num_training = 0  # rows

    @property
    def spec(self) -> DataSpec:
        spec = super().spec
        return replace(spec, input_size=spec.input_size + 2) if self.calendar else spec

    def _parts(self, size: int, source: str) -> dict[str, slice]:
        if source == "test":
            return {"test": slice(0, size)}
        train = size if source == "train" else math.floor(self.fractions[0] * size)
        self.num_training = train if self.max_training is None else min(train, self.max_training)
        return {"train": slice(0, self.num_training), **({"test": slice(0, size)} if source == "path" else {})}

    def _fill(self, inputs: Tensor, targets: Tensor, parts: dict[str, slice], table: Table) -> None:
        if "test" in parts:
            self.splits["test"] = WholeSeries(inputs, targets)
        if "train" not in parts:
            return
        rows = range(self.window, self.num_training, self.stride)
        if not rows:
            raise ValueError(
                f"the training part of {table.path} has {self.num_training} rows; expected more than {self.window}, the window. Shorten data.window, or give "
                "it a larger share with data.train_fraction."
            )
        self.splits["train"] = WindowSplit(inputs, targets, self.window, 1, rows)
        self.splits["val"] = WindowSplit(inputs, targets, self.window, 1, rows[::WATCHED])

    def _count_duplicates(self) -> dict[str, int]:
        return {}  # that the test and the validation hold what trains is what watching a series means

    def _standard(self, training: Tensor, names: list[str], num_series: int, table: Table) -> tuple[Tensor, Tensor]:
        """As of TimeSeries, but a series may stand still as long as it is trained on: a hundredth of its value is then its deviation."""
        still = (training == training[:1]) | training.isnan()
        flat = still.all(0) & ~training.isnan().all(0)
        nudged = training.clone()
        nudged[0, flat] += 1.0  # passes the check; what it gives is replaced
        offset, deviation = super()._standard(nudged, names, num_series, table)
        if not self.standardise:
            return offset, deviation
        level = training.nanmean(0)
        return torch.where(flat, level, offset), torch.where(flat, (level.abs() / 100).clamp(min=1e-3), deviation)

    def _read_dates(self, table: Table, column: int) -> list[datetime]:
        return read_dates(table, column, self.date_format, rising=False)  # rows are watched as they come, a clock that is put back and all

    def _inputs(self, scaled: Tensor, table: Table) -> Tensor:
        inputs = super()._inputs(scaled, table)
        if not self.calendar:
            return inputs
        date = date_column(table, self.date)
        if date is None:
            raise ValueError(f"{table.path} has no date; expected one for data.calendar=true. Name its column with data.date, or set data.calendar=false.")
        hours = torch.tensor([date.hour + date.minute / 60 for date in self._read_dates(table, date)])
        angle = hours / 24 * 2 * math.pi
        return torch.cat([inputs, angle.sin()[:, None], angle.cos()[:, None]], 1)

    def read_new(self, file: Path) -> list[Example | None]:
        """All rows of a table with the columns of the run, as one sequence; its targets are the series as they were measured, NaN where missing."""
        self._new, inputs, series = self._new_inputs(file)
        return [Example(inputs, series)]

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        """The table as a CSV, each row with its score and 1 where it is flagged, else 0; blank rows between others stay blank."""
        table, answer = self._answered(answers)
        with open(output, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*table.names, "score", "flag"])
            before = table.lines[0] - 1
            for line, row, score, flag in zip(table.lines, table.rows, answer["score"], answer["flag"], strict=True):
                file.write("\n" * (line - before - 1))  # blank rows stay blank
                writer.writerow([*row, f"{score:.4f}", int(flag)])
                before = line

    def draw_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], picture: Path) -> bool:
        """The series with its flagged rows, and the score."""
        table, answer = self._answered(answers)
        names = self._known_scale.series
        values = table.numbers([table.names.index(name) for name in names])
        draw_anomalies(picture, dict(zip(names, map(list, zip(*values, strict=True)), strict=True)), answer["score"], answer["flag"])
        return True

    def _answered(self, answers: Sequence[dict[str, Any] | None]) -> tuple[Table, dict[str, Any]]:
        answer = answers[0]
        assert self._new is not None, "read_new comes first"
        assert answer is not None, "a table is one row, and not blank"
        return self._new, answer


class WholeSeries(Dataset[Example]):
    """All rows but the last as inputs, and the row after each as its target, NaN where missing."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.example = Example(inputs[:-1], targets[1:])

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Example:
        return self.example
