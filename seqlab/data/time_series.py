"""Series in a table: forecast the rows to come. Dimension key: N rows, T window, H horizon, V series, C covariates, I inputs."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.data.base import SPLITS, DataSpec, Example, SequenceDataModule
from seqlab.data.number_tables import Table, read_dates, read_table, usual_step
from seqlab.data.splits import Fractions, split_points
from seqlab.data.windows import WindowSplit, alone
from seqlab.pictures.forecast import draw_forecast
from seqlab.registry import unknown

SERIES = "series.json"  # what a run directory keeps of the columns and their scale
MISSING_VALUES = ("carry", "flag", "error")
log = logging.getLogger("seqlab")


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

    path: a CSV, TSV or white-space table, one row per time, the oldest first. targets: the columns to forecast; None: all but
    the date. covariates: columns that are read and not forecast; None: those that are neither date nor target. date: the
    column of the date; None: the column named date, time or timestamp in any case, if there is one. A date says how a forecast
    goes on and shows gaps; it is no input.
    missing: what stands in for a value that is not there. "carry": the last value of its column before it (before the first 0,
    with scale the mean of the training part). "flag": the same, with a further input for each column, 1 where the value is carried. "error":
    nothing, a missing value is an error. Where a target is missing, the forecast is not judged. Nothing is taken from the future.
    lengths: rows for training, validation and test, in order, rows after them left out; None: by `fractions` of all rows. A
    window may reach back into the split before its own; what is forecast never does.
    scale: take off the mean and divide by the deviation of the training part. each_alone: each series is a sequence of its
    own, with the covariates; one model for all of them. stride: rows from one training window to the next; evaluation takes all.
    season: MASE compares with repeating the value so many rows ago.
    """

    def __init__(
        self,
        path: str | Path | None = None,
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
            raise ValueError("data=time_series has no file; expected a table with a row for each time. Give data.path=FILE.")
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
        path = directory / SERIES
        if not path.is_file():
            raise ValueError(
                f"run directory {directory} has no {SERIES}: it is no run on a table of series, or it ended before its data was read. Train it again."
            )
        self.scale = Scale(**json.loads(path.read_text(encoding="utf-8")))

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        table = self._read(self.file)
        date = self._date_column(table)
        series, covariates = self._columns(table, date)
        names = [table.names[column] for column in (*series, *covariates)]
        values = torch.tensor(table.numbers([*series, *covariates]), dtype=torch.float64)
        self._say_what_is_missing(values, names, table)
        if date is not None:
            self._say_gaps(table, date)
        parts = self._parts(len(values))
        offset, deviation = self._standard(values[parts["train"]], names, len(series))
        self.scale = Scale(None if date is None else table.names[date], names[: len(series)], names[len(series) :], offset.tolist(), deviation.tolist())
        scaled = (values - offset) / deviation
        targets = scaled[:, : len(series)].float()
        self.training_series = targets[parts["train"]]
        self._fill(self._inputs(scaled, table), targets, parts)

    def _fill(self, inputs: Tensor, targets: Tensor, parts: dict[str, slice]) -> None:
        """Cut the splits: inputs (N, I), targets (N, V)."""
        for split, part in parts.items():
            first = part.start + self.window if split == "train" else max(part.start, self.window)
            rows = range(first, part.stop - self.horizon + 1, self.stride if split == "train" else 1)
            if not rows:
                raise ValueError(
                    f"the {split} split of {self.file} has {part.stop - part.start} rows; expected at least {self.horizon} for the horizon"
                    + (f" and {self.window} for the window" if split == "train" else "")
                    + ". Shorten data.window or data.horizon, or give it a larger share with data.fractions or data.lengths."
                )
            self.splits[split] = WindowSplit(inputs, targets, self.window, self.horizon, rows, self.each_alone)

    def _read(self, file: Path) -> Table:
        return read_table(file, self.encoding, self.header, self.separator)

    def _date_column(self, table: Table) -> int | None:
        if self.date is not None:
            return table.column(self.date)
        return next((column for column, name in enumerate(table.names) if name.lower() in ("date", "time", "timestamp")), None)

    def _read_dates(self, table: Table, column: int) -> list[datetime]:
        return read_dates(table, column, self.date_format)

    def _columns(self, table: Table, date: int | None) -> tuple[list[int], list[int]]:
        """The columns of the series and of the covariates."""
        others = [column for column in range(len(table.names)) if column != date]
        series = others if self.targets is None else [table.column(name) for name in self.targets]
        rest = [column for column in others if column not in series]
        covariates = rest if self.covariates is None else [table.column(name) for name in self.covariates]
        wrong = [table.names[column] for column in (*series, *covariates) if column == date or (column in series and column in covariates)]
        if wrong or not series:
            what = f"column {wrong[0]!r} is used twice" if wrong else "no column is left to forecast"
            raise ValueError(f"{table.path}: {what}; expected data.date, data.targets and data.covariates to be different columns, with a target at least.")
        return series, covariates

    def _parts(self, size: int) -> dict[str, slice]:
        if self.lengths is None:
            return split_points(size, self.fractions)
        if len(self.lengths) != len(SPLITS) or min(self.lengths) < 1 or sum(self.lengths) > size:
            raise ValueError(
                f"data.lengths are {list(self.lengths)}; expected a number of rows above 0 for each of {', '.join(SPLITS)}, {size} at most together, "
                f"the rows of {self.file}."
            )
        first, second, third = self.lengths
        return dict(zip(SPLITS, (slice(0, first), slice(first, first + second), slice(first + second, first + second + third)), strict=True))

    def _standard(self, training: Tensor, names: list[str], num_series: int) -> tuple[Tensor, Tensor]:
        """Offset and deviation of each column (V + C,), of what is present in the training part."""
        offset = training.nanmean(0)
        deviation = (training - offset).square().nanmean(0).sqrt()
        for column, name in enumerate(names):
            if not bool(offset[column].isfinite()) or (column < num_series and not bool(deviation[column] > 0)):
                what = "has no value" if bool(offset[column].isnan()) else f"never changes from {offset[column].item()}"
                raise ValueError(
                    f"{self.file}: column {name!r} {what} in the training part, its first {len(training)} rows; expected a series to learn from. "
                    "Leave it out with data.targets=[…] and data.covariates=[…]."
                )
        if not self.standardise:
            return torch.zeros_like(offset), torch.ones_like(offset)
        return offset, torch.where(deviation > 0, deviation, 1.0)

    def _inputs(self, scaled: Tensor, table: Table) -> Tensor:
        """scaled (N, V + C) of a table, NaN where missing -> the inputs (N, I), finite."""
        missing = scaled.isnan()
        rows = torch.where(missing, -1, torch.arange(len(scaled))[:, None]).cummax(0).values
        carried = torch.where(rows < 0, 0.0, scaled.gather(0, rows.clamp(min=0))).float()
        return torch.cat([carried, missing.float()], 1) if self.missing == "flag" else carried

    def _say_what_is_missing(self, values: Tensor, names: list[str], table: Table) -> None:
        missing = values.isnan()
        if not bool(missing.any()):
            return
        row, column = missing.nonzero()[0].tolist()
        told = f"{int(missing.sum())} of {missing.numel()} values are missing, the first in column {names[column]!r}"
        if self.missing == "error":
            raise ValueError(f"{table.place(row)}: {told}; expected none with data.missing=error. Choose data.missing=carry or data.missing=flag.")
        log.warning("%s: %s; each takes the last value before it, and no forecast is judged by it.", table.place(row), told)

    def _say_gaps(self, table: Table, date: int) -> None:
        dates = self._read_dates(table, date)
        if len(dates) < 3:
            return
        step = usual_step(dates)
        gaps = [row for row in range(1, len(dates)) if dates[row] - dates[row - 1] != step]
        if gaps:
            log.warning(
                "%s: the date is %s after the one before; %d of %d rows are not %s after theirs. Rows are taken as equally far apart.",
                table.place(gaps[0]),
                dates[gaps[0]] - dates[gaps[0] - 1],
                len(gaps),
                len(dates),
                step,
            )

    def read_new(self, file: Path) -> list[Example | None]:
        """The last `window` rows of a table with the columns of the run; a row for each series where each stands alone."""
        table, inputs = self._new_inputs(file)
        if len(inputs) < self.window:
            raise ValueError(f"{file} has {len(inputs)} rows; expected at least {self.window}, the window that the run was trained on.")
        self._new = table
        last, num_series = inputs[-self.window :], len(self._known_scale.series)
        rows = alone(last.T[None], num_series).transpose(1, 2) if self.each_alone else last[None]
        return [Example(row, torch.empty(0)) for row in rows]

    def _new_inputs(self, file: Path) -> tuple[Table, Tensor]:
        """A table with the columns of the run, and its inputs (N, I)."""
        scale = self._known_scale
        table = self._read(file)
        missing = [name for name in (*scale.series, *scale.covariates) if name not in table.names]
        if missing:
            raise ValueError(f"{file} has no column {missing[0]!r}, but {', '.join(table.names)}; expected the columns the run was trained on.")
        columns = [table.names.index(name) for name in (*scale.series, *scale.covariates)]
        values = torch.tensor(table.numbers(columns), dtype=torch.float64)
        self._say_what_is_missing(values, [table.names[column] for column in columns], table)
        return table, self._inputs((values - exact(scale.offset)) / exact(scale.deviation), table)

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        """A CSV with a row for each step of the horizon: its date, and of each series the forecast and the ends of its band."""
        dates, parts = self.forecast(answers)
        header = [self._known_scale.date or "step"]
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
        assert self._new is not None, "read_new comes first"
        if self._known_scale.date is None or self._known_scale.date not in self._new.names:
            return [str(step) for step in range(1, steps + 1)]
        dates = self._read_dates(self._new, self._new.names.index(self._known_scale.date))
        step = usual_step(dates) if len(dates) > 1 else None
        if step is None:
            return [str(step) for step in range(1, steps + 1)]
        return [self._written(dates[-1] + step * ahead) for ahead in range(1, steps + 1)]

    def _written(self, date: datetime) -> str:
        return date.strftime(self.date_format) if self.date_format else date.isoformat(sep=" ")


def exact(values: Sequence[Any]) -> Tensor:
    """Numbers in float64: a series may be far from 0 beside its deviation."""
    return torch.tensor(values, dtype=torch.float64)
