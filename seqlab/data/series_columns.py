"""Which columns of a table are series, what is missing in them, and what takes its place. Dimension key: N rows, V series, C covariates."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

import torch
from torch import Tensor

from seqlab.data.dates import usual_step
from seqlab.data.number_tables import Table

DATE_NAMES = ("date", "time", "timestamp")  # in any case; of a column that holds dates though none is named
log = logging.getLogger("seqlab")


def date_column(table: Table, date: str | int | None) -> int | None:
    """The column of that name or number; with None the one that is called as DATE_NAMES say, if there is one."""
    if date is not None:
        return table.column(date)
    return next((column for column, name in enumerate(table.names) if name.lower() in DATE_NAMES), None)


def series_columns(table: Table, date: int | None, targets: Sequence[str | int] | None, covariates: Sequence[str | int] | None) -> tuple[list[int], list[int]]:
    """The columns of the series, None: all but the date; and of the covariates, None: all others.

    Raises ValueError for one that is used twice, and for one without a name that nobody chose.
    """
    others = [column for column in range(len(table.names)) if column != date]
    series = others if targets is None else table.columns(targets)
    rest = [column for column in others if column not in series]
    further = rest if covariates is None else table.columns(covariates)
    wrong = [table.names[column] for column in (*series, *further) if column == date or (column in series and column in further)]
    unchosen = [*(series if targets is None else ()), *(further if covariates is None else ())]
    table.check_named(unchosen, "data.targets=[…] and data.covariates=[…]")
    if wrong or not series:
        what = f"column {wrong[0]!r} is used twice" if wrong else "no column is left to forecast"
        raise ValueError(f"{table.path}: {what}; expected data.date, data.targets and data.covariates to be different columns, with a target at least.")
    return series, further


def known_columns(table: Table, names: Sequence[str]) -> list[int]:
    """The columns of these names. Raises ValueError for one that the table has not."""
    missing = [name for name in names if name not in table.names]
    if missing:
        raise ValueError(f"{table.path} has no column {missing[0]!r}, but {', '.join(table.names)}; expected the columns the run was trained on.")
    return [table.names.index(name) for name in names]


def numbers(table: Table, columns: Sequence[int], refuse_missing: bool) -> Tensor:
    """The values of these columns (N, V + C) in float64, NaN where one is missing, which is said or, with refuse_missing, a ValueError."""
    values = torch.tensor(table.numbers(columns), dtype=torch.float64)
    missing = values.isnan()
    if bool(missing.any()):
        row, column = missing.nonzero()[0].tolist()
        told = f"{int(missing.sum())} of {missing.numel()} values are missing, the first in column {table.names[columns[column]]!r}"
        if refuse_missing:
            raise ValueError(f"{table.place(row)}: {told}; expected none with data.missing=error. Choose data.missing=carry or data.missing=flag.")
        log.warning("%s: %s; each takes the last value before it, and no forecast is judged by it.", table.place(row), told)
    return values


def check_gaps(table: Table, dates: Sequence[datetime], refuse: bool) -> None:
    """Say where a row is not the usual step after the one before or, with `refuse`, raise ValueError there."""
    if len(dates) < 3:
        return
    step = usual_step(dates)
    gaps = [row for row in range(1, len(dates)) if dates[row] != step.after(dates[row - 1])]
    if not gaps:
        return
    told = (
        f"{table.place(gaps[0])}: the date is {dates[gaps[0]] - dates[gaps[0] - 1]} after the one before; "
        f"{len(gaps)} of {len(dates)} rows are not {step} after theirs"
    )
    if refuse:
        raise ValueError(f"{told}; expected no gap with data.missing=error. Fill the rows in, or choose data.missing=carry or data.missing=flag.")
    log.warning("%s. Rows are taken as equally far apart.", told)


def carried(values: Tensor) -> tuple[Tensor, Tensor]:
    """values (N, K), NaN where missing -> the same with the last value before it there, 0 before the first, in float32; and which were missing."""
    missing = values.isnan()
    rows = torch.where(missing, -1, torch.arange(len(values))[:, None]).cummax(0).values
    return torch.where(rows < 0, 0.0, values.gather(0, rows.clamp(min=0))).float(), missing
