"""The dates of a table: read, and how far apart they are."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from seqlab.data.number_tables import Table


@dataclass(frozen=True)
class Step:
    """From one row to the next: a length of time or, where `months` is not 0, so many months; month_ends: to the last day of the month."""

    time: timedelta = timedelta(0)
    months: int = 0
    month_ends: bool = False

    def after(self, date: datetime, steps: int = 1) -> datetime:
        """The date so many steps later."""
        if not self.months:
            return date + self.time * steps
        years, month = divmod(date.month - 1 + self.months * steps, 12)
        year = date.year + years
        return date.replace(year=year, month=month + 1, day=calendar.monthrange(year, month + 1)[1] if self.month_ends else date.day)

    def __str__(self) -> str:
        return f"{self.months} months" if self.months > 1 else "a month" if self.months else str(self.time)


def read_dates(table: Table, column: int, form: str | None = None, rising: bool = True) -> list[datetime]:
    """The dates of a column, all with a time zone or none; with `rising` each has to be after the one before.

    form: as strptime reads it; None: ISO 8601, such as 2016-07-01 13:00.
    """
    dates: list[datetime] = []
    for row, fields in enumerate(table.rows):
        try:
            dates.append(datetime.strptime(fields[column], form) if form else datetime.fromisoformat(fields[column]))
        except ValueError as error:
            expected = (
                f"a date like {form!r}." if form else "an ISO date such as 2016-07-01 13:00, or say how it is written with data.date_format='%d.%m.%Y %H:%M'."
            )
            raise ValueError(
                f"{table.place(row)}: {fields[column]!r} in column {table.names[column]!r}; expected {expected} Rename the column if it holds no dates."
            ) from error
        if row and (dates[row].tzinfo is None) != (dates[0].tzinfo is None):
            has = "has no" if dates[row].tzinfo is None else "has a"
            raise ValueError(
                f"{table.place(row)}: the date {fields[column]} {has} time zone, unlike {table.rows[0][column]}, the first one; expected all dates with "
                "one, or none. Write them alike."
            )
        if rising and row and dates[row] <= dates[row - 1]:
            raise ValueError(
                f"{table.place(row)}: the date {fields[column]} is not after {table.rows[row - 1][column]}, the one before. Sort the rows, drop doubles."
            )
    return dates


def usual_step(dates: Sequence[datetime]) -> Step:
    """What most often lies between one row and the next, of two dates at least: months, where all dates are of one day of the month
    up to the 28th, or all are the last days of their months, at one time of day; else a length of time."""
    same_time = len({date.time() for date in dates}) == 1
    month_ends = all(date.day == calendar.monthrange(date.year, date.month)[1] for date in dates)
    if same_time and (month_ends or (len({date.day for date in dates}) == 1 and dates[0].day <= 28)):
        months = Counter((after.year - before.year) * 12 + after.month - before.month for before, after in pairwise(dates))
        return Step(months=months.most_common(1)[0][0], month_ends=month_ends)
    return Step(Counter(after - before for before, after in pairwise(dates)).most_common(1)[0][0])
