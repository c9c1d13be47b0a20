"""Series in a table: forecast the rows to come. Dimension key: N rows, T window, H horizon, V series, C covariates, I inputs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.data.base import SPLITS, DataSpec, Example, SequenceDataModule
from seqlab.data.dates import read_dates, usual_step
from seqlab.data.labelled_text import read_record
from seqlab.data.number_tables import Table, read_table
from seqlab.data.series_columns import carried, check_gaps, date_column, known_columns, numbers, series_columns
from seqlab.data.split_files import SplitFiles
from seqlab.data.splits import Fractions, split_points, warn_of_duplicates
from seqlab.data.windows import WindowSplit, alone
from seqlab.pictures.forecast import draw_forecast
from seqlab.registry import unknown

SERIES = "series.json"  # what a run directory keeps of the columns and their scale
MISSING_VALUES = ("carry", "flag", "error")


@dataclass(frozen=True)
class Scale:
    """Which columns a run reads, and what of the training part each is measured from and by."""

    date: str | None
    series: list[str]
    covariates: list[str]
    offset: list[float]
    deviation: list[float]


class TimeSeries(SequenceDataModule):
    """Windows of a table, and the `horizon` rows after each; MSE and the like are of standardised values.

    path: a CSV, TSV or white-space table, one row per time, the oldest first. train, test and val: in its place a table for each
    split, with the same columns; without val the end of train, as large as fractions makes it beside the training part.
    targets: the columns to forecast; None: all but the date. covariates: columns that are read and not forecast; None: those that
    are neither date nor target. date: the column of the date; None: the column named date, time or timestamp in any case, if there
    is one. A date says how a forecast goes on and shows gaps; it is no input.
    missing: what stands in for a value that is not there. "carry": the last value of its column before it (before the first 0,
    with scale the mean of the training part). "flag": the same, with a further input for each column, 1 where the value is carried. "error":
    nothing, a missing value is an error, and so is a missing date. Where a target is missing, the forecast is not judged. Nothing is
    taken from the future.
    lengths: rows of `path` for training, validation and test, in order, rows after them left out; None: by `fractions` of all rows.
    A window may reach back into the split before its own in the same table; what is forecast never does.
    scale: take off the mean and divide by the deviation of the training part. each_alone: each series is a sequence of its
    own, with the covariates; one model for all of them. stride: rows from one training window to the next; evaluation takes all.
    season: MASE compares with repeating the value so many rows ago.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        train: str | Path | None = None,
        val: str | Path | None = None,
        test: str | Path | None = None,
        targets: Sequence[str | int] | None = None,
        covariates: Sequence[str | int] | None = None,
        date: str | int | None = None,
        date_format: str | None = None,
        header: bool | None = None,
        separator: str | None = None,
        encoding: str = "utf-8",
        missing: str = "carry",
        window: int = 96,
        horizon: int = 24,
        stride: int = 1,
        season: int = 1,
        each_alone: bool = False,
        scale: bool = True,
        lengths: Sequence[int] | None = None,
        fractions: Fractions = (0.7, 0.1, 0.2),
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        for name, size in (("window", window), ("horizon", horizon), ("stride", stride), ("season", season)):
            if size < 1:
                raise ValueError(f"data.{name} is {size}; expected at least 1.")
        if missing not in MISSING_VALUES:
            raise ValueError(unknown("treatment of missing values", missing, list(MISSING_VALUES), "Choose one with data.missing=NAME."))
        given = any(source is not None for source in (train, val, test))
        self.sources = SplitFiles(path, train, val, test, fractions) if given else None
        if given and lengths is not None:
            raise ValueError(f"data.lengths are {list(lengths)} beside data.train, whose files are the splits; expected null, or data.path=FILE to be cut.")
        self.path, self.encoding = path, encoding
        self.targets, self.covariates, self.date, self.date_format = targets, covariates, date, date_format
        self.header, self.separator, self.missing = header, separator, missing
        self.window, self.horizon, self.stride, self.season = window, horizon, stride, season
        self.each_alone, self.standardise = each_alone, scale
        self.lengths, self.fractions = lengths, fractions
        self.scale: Scale | None = None
        self.training_series: Tensor | None = None  # (N, V) the training part, in the units of the targets
        self._new: Table | None = None  # the table that read_new read last

    @property
    def file(self) -> Path:
        """The table. Data sets with a name override it."""
        if self.path is None:
            raise ValueError("the data has no table; expected one with a row for each time. Give data.path=FILE, or data.train=FILE and data.test=FILE.")
        return Path(self.path).expanduser()

    @property
    def spec(self) -> DataSpec:
        scale = self._known_scale
        num_series, num_covariates = len(scale.series), len(scale.covariates)
        num_inputs = (num_series + num_covariates) * (2 if self.missing == "flag" else 1)
        if self.each_alone:
            num_inputs, num_series = num_inputs - num_series + 1, 1
        return DataSpec("features", num_inputs, "horizon", num_series, horizon=self.horizon)

    @property
    def _known_scale(self) -> Scale:
        assert self.scale is not None, "setup or restore comes first"
        return self.scale

    def records(self) -> dict[str, str]:
        return {**super().records(), SERIES: json.dumps(asdict(self._known_scale), indent=2, ensure_ascii=False) + "\n"}

    def restore(self, directory: Path) -> None:
        self.scale = read_record(directory / SERIES, lambda text: Scale(**json.loads(text)))

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        tables = {source: self._read(file) for source, file in self._files().items()}
        first = next(iter(tables))  # trains, and so says the columns and the scale
        values = {source: self._first(table, source) if source == first else self._values(table) for source, table in tables.items()}
        scale = self._known_scale
        for source, table in tables.items():
            scaled = (values[source] - exact(scale.offset)) / exact(scale.deviation)
            targets = scaled[:, : len(scale.series)].float()
            parts = self._parts(len(scaled), source)
            if "train" in parts:
                self.training_series = targets[parts["train"]]
            self._fill(self._inputs(scaled, table), targets, parts, table)
        self.duplicates = self._count_duplicates()

    def _files(self) -> dict[str, Path]:
        """{where from: table}, "path" or a split; that of the training part first."""
        if self.sources is None:
            return {"path": self.file}
        found = {split: getattr(self.sources, split) for split in SPLITS}
        return {split: Path(file).expanduser() for split, file in found.items() if file is not None}

    def _first(self, table: Table, source: str) -> Tensor:
        """The values (N, V + C) of the table that holds the training part; sets `scale`."""
        date = date_column(table, self.date)
        series, covariates = series_columns(table, date, self.targets, self.covariates)
        names = [table.names[column] for column in (*series, *covariates)]
        values = numbers(table, [*series, *covariates], self.missing == "error")
        if date is not None:
            check_gaps(table, self._read_dates(table, date), self.missing == "error")
        offset, deviation = self._standard(values[self._parts(len(values), source)["train"]], names, len(series), table)
        self.scale = Scale(None if date is None else table.names[date], names[: len(series)], names[len(series) :], offset.tolist(), deviation.tolist())
        return values

    def _values(self, table: Table) -> Tensor:
        """The values (N, V + C) of a further table with the columns of the run."""
        scale = self._known_scale
        values = numbers(table, known_columns(table, [*scale.series, *scale.covariates]), self.missing == "error")
        if (date := self._dated(table)) is not None:
            check_gaps(table, self._read_dates(table, date), self.missing == "error")
        return values

    def _dated(self, table: Table) -> int | None:
        """The column of the date in a further table: the one that the run read, or another that data.date names for new input."""
        date = self._known_scale.date
        if isinstance(self.date, str) and self.date != date:
            return table.column(self.date)
        return table.names.index(date) if date in table.names else None

    def _fill(self, inputs: Tensor, targets: Tensor, parts: dict[str, slice], table: Table) -> None:
        """Cut the splits that are parts of a table: inputs (N, I), targets (N, V)."""
        for split, part in parts.items():
            first = part.start + self.window if split == "train" else max(part.start, self.window)
            rows = range(first, part.stop - self.horizon + 1, self.stride if split == "train" else 1)
            if not rows:
                whole = split == "train" or part.start == 0  # no rows before its own in which a window could begin
                raise ValueError(
                    f"the {split} split of {table.path} has {part.stop - part.start} rows; expected at least {self.horizon} for the horizon"
                    + (f" and {self.window} for the window" if whole else "")
                    + ". Shorten data.window or data.horizon, or give it more rows, with data.fractions or data.lengths where one table is cut."
                )
            self.splits[split] = WindowSplit(inputs, targets, self.window, self.horizon, rows, self.each_alone)

    def _count_duplicates(self) -> dict[str, int]:
        """How many windows with what follows them are in two splits; said in the log."""
        return warn_of_duplicates({split: part.contents() for split, part in self.splits.items() if isinstance(part, WindowSplit)})

    def _read(self, file: Path) -> Table:
        return read_table(file, self.encoding, self.header, self.separator)

    def _read_dates(self, table: Table, column: int) -> list[datetime]:
        return read_dates(table, column, self.date_format)

    def _parts(self, size: int, source: str) -> dict[str, slice]:
        """The rows of each split in a table of so many rows; source: "path", or the split whose file it is."""
        if self.sources is not None:
            if source != "train" or self.sources.val is not None:
                return {source: slice(0, size)}
            kept = round(size * self.fractions[0] / (self.fractions[0] + self.fractions[1]))
            return {"train": slice(0, kept), "val": slice(kept, size)}
        if self.lengths is None:
            return split_points(size, self.fractions)
        if len(self.lengths) != len(SPLITS) or min(self.lengths) < 1 or sum(self.lengths) > size:
            raise ValueError(
                f"data.lengths are {list(self.lengths)}; expected a number of rows above 0 for each of {', '.join(SPLITS)}, {size} at most together, "
                f"the rows of {self.file}."
            )
        first, second, third = self.lengths
        return dict(zip(SPLITS, (slice(0, first), slice(first, first + second), slice(first + second, first + second + third)), strict=True))

    def _standard(self, training: Tensor, names: list[str], num_series: int, table: Table) -> tuple[Tensor, Tensor]:
        """Offset and deviation of each column (V + C,), of what is present in the training part."""
        offset = training.nanmean(0)
        deviation = (training - offset).square().nanmean(0).sqrt()
        for column, name in enumerate(names):
            if not bool(offset[column].isfinite()) or (column < num_series and not bool(deviation[column] > 0)):
                what = "has no value" if bool(offset[column].isnan()) else f"never changes from {offset[column].item()}"
                raise ValueError(
                    f"{table.path}: column {name!r} {what} in the training part, its first {len(training)} rows; expected a series to learn from. "
                    "Leave it out with data.targets=[…] and data.covariates=[…]."
                )
        if not self.standardise:
            return torch.zeros_like(offset), torch.ones_like(offset)
        return offset, torch.where(deviation > 0, deviation, 1.0)

    def _inputs(self, scaled: Tensor, table: Table) -> Tensor:
        """scaled (N, V + C) of a table, NaN where missing -> the inputs (N, I), finite."""
        filled, missing = carried(scaled)
        return torch.cat([filled, missing.float()], 1) if self.missing == "flag" else filled

    def read_new(self, file: Path) -> list[Example | None]:
        """The last `window` rows of a table with the columns of the run; a row for each series where each stands alone."""
        table, inputs, _ = self._new_inputs(file)
        if len(inputs) < self.window:
            raise ValueError(f"{file} has {len(inputs)} rows; expected at least {self.window}, the window that the run was trained on.")
        self._new = table
        last, num_series = inputs[-self.window :], len(self._known_scale.series)
        rows = alone(last.T[None], num_series).transpose(1, 2) if self.each_alone else last[None]
        return [Example(row, torch.empty(0)) for row in rows]

    def _new_inputs(self, file: Path) -> tuple[Table, Tensor, Tensor]:
        """A table with the columns of the run, its inputs (N, I), and of them the series (N, V) as they were measured, NaN where missing."""
        scale = self._known_scale
        table = self._read(file)
        scaled = (self._values(table) - exact(scale.offset)) / exact(scale.deviation)
        return table, self._inputs(scaled, table), scaled[:, : len(scale.series)].float()

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        """A CSV with a row for each step of the horizon: its date, and of each series the forecast and the ends of its band."""
        dates, parts = self.forecast(answers)
        assert self._new is not None, "read_new comes first"
        date = self._dated(self._new) if self._new_dates() else None
        header = ["step" if date is None else self._new.names[date]]
        columns: list[list[float]] = []
        for series, name in enumerate(self._known_scale.series):
            for part, values in parts.items():
                header.append(name if part == "forecast" else f"{name} {part}")
                columns.append(values[:, series].tolist())
        with open(output, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            for step, date in enumerate(dates):
                writer.writerow([date, *(f"{column[step]:.12g}" for column in columns)])

    def draw_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], picture: Path) -> bool:
        """The end of the table and what follows it, with the band where the loss learns one."""
        assert self._new is not None, "read_new comes first"
        names = self._known_scale.series
        past = torch.tensor(self._new.numbers([self._new.names.index(name) for name in names]))
        parts = {part: {name: values[:, index].tolist() for index, name in enumerate(names)} for part, values in self.forecast(answers)[1].items()}
        draw_forecast(picture, {name: past[:, index].tolist() for index, name in enumerate(names)}, **parts)
        return True

    def forecast(self, answers: Sequence[dict[str, Any] | None]) -> tuple[list[str], dict[str, Tensor]]:
        """What `Task.answer` gave for the rows of `read_new` -> the dates, or 1, 2, …, and {part: (H, V)} in the units of the table."""
        scale = self._known_scale
        given = [answer for answer in answers if answer is not None]
        offset, deviation = exact(scale.offset)[: len(scale.series)], exact(scale.deviation)[: len(scale.series)]
        parts = {name: torch.cat([exact(answer[name]) for answer in given], 1) * deviation + offset for name in given[0]}
        return self._dates_after(self.horizon), parts

    def _dates_after(self, steps: int) -> list[str]:
        dates = self._new_dates()
        if not dates:
            return [str(step) for step in range(1, steps + 1)]
        step = usual_step(dates)
        return [self._written(step.after(dates[-1], ahead)) for ahead in range(1, steps + 1)]

    def _new_dates(self) -> list[datetime]:
        """The dates of the new table, none where they do not say how it goes on."""
        assert self._new is not None, "read_new comes first"
        date = self._dated(self._new)
        dates = [] if date is None else self._read_dates(self._new, date)
        return dates if len(dates) > 1 else []

    def _written(self, date: datetime) -> str:
        return date.strftime(self.date_format) if self.date_format else date.isoformat(sep=" ")


def exact(values: Sequence[Any]) -> Tensor:
    """Numbers in float64: a series may be far from 0 beside its deviation."""
    return torch.tensor(values, dtype=torch.float64)
