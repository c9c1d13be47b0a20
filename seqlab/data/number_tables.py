"""Tables of numbers as they lie on disk: CSV, TSV or columns between white space, with a header or without."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqlab.data.text_files import read_text
from seqlab.registry import unknown

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-"))  # in lower case; what stands for a value that was not measured
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": None}


@dataclass(frozen=True)
class Table:
    """The rows of a file. names: of the columns, as the header says or "1", "2", …; lines: where in the file each row stands;
    header: where the header stands, 0 where there is none."""

    path: Path
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    header: int = 0

    def place(self, row: int) -> str:
        """Where a row stands, for an error."""
        return f"{self.path}, line {self.lines[row]}"

    def column(self, name: str | int) -> int:
        """The index of a column, by its name or, counted from 1, its number."""
        if str(name) in self.names:
            return self.names.index(str(name))
        if isinstance(name, int) and 1 <= name <= len(self.names):
            return name - 1
        raise ValueError(f"{self.path}: " + unknown("column", str(name), self.names))

    def columns(self, chosen: Sequence[str | int] | str | int) -> list[int]:
        """The indices of columns, or of one. Raises ValueError for one that is chosen twice, and as `column` does."""
        found = [self.column(name) for name in ([chosen] if isinstance(chosen, str | int) else chosen)]
        if len(set(found)) < len(found):
            twice = next(self.names[index] for index in found if found.count(index) > 1)
            raise ValueError(f"{self.path}: the column {twice!r} is chosen twice; expected each once. Take one away.")
        return found

    def check_named(self, columns: Sequence[int], choice: str) -> None:
        """Raise ValueError for a column without a name, which is most likely an index and would be read as values. choice: how columns are chosen."""
        for column in columns:
            if not self.names[column]:
                raise ValueError(
                    f"{self.path}, line {self.header}: column {column + 1} has no name, as the index of a pandas table that was written out; expected a name "
                    f"for each column that is read. Name it, or choose those that are read with {choice}."
                )

    def other_columns(self, found: Sequence[str], expected: Sequence[str]) -> ValueError:
        """The error for a file among others whose columns are not theirs."""
        return ValueError(
            f"{self.path}, line {self.header or self.lines[0]}: the columns are {', '.join(found)}; expected {', '.join(expected)}, as in the other files. "
            "Rename them, or choose those that are read with data.columns=[…]."
        )

    def numbers(self, columns: Sequence[int]) -> list[list[float]]:
        """The values of these columns for each row, NaN where one is missing. ValueError names the line of a text."""
        return [[number(row[column], self, index, column) for column in columns] for index, row in enumerate(self.rows)]


def read_table(path: str | Path, encoding: str = "utf-8", header: bool | None = None, separator: str | None = None, comment: str | None = None) -> Table:
    """The table in a file, blank lines left out; ".gz" is unpacked.

    header: whether the first row names the columns; None: it does unless a field of it is a number. separator: comma,
    semicolon, tab or space (any white space); None: the first of tab, semicolon and comma that the first line holds, else
    space. comment: lines that start with it are left out, as if blank. ValueError when a row has another number of fields than the first.
    """
    return parse_table(read_text(Path(path).expanduser(), encoding), Path(path).expanduser(), header, separator, comment)


def parse_table(text: str, path: Path, header: bool | None = None, separator: str | None = None, comment: str | None = None) -> Table:
    """`read_table` of a text; path: what errors call it."""
    lines = [(index, line) for index, line in enumerate(text.split("\n"), 1) if line.strip() and not (comment and line.startswith(comment))]
    if not lines:
        raise ValueError(f"{path} has no row; expected a table of numbers. Check the file.")
    mark = _separator(separator, lines[0][1])
    rows = [_fields(line, mark) for _, line in lines]
    for (line, _), row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{path}, line {line}: {len(row)} fields; expected {len(rows[0])}, as in line {lines[0][0]}. Repair the line, or say which sign parts "
                "fields with data.separator=NAME."
            )
    named = header if header is not None else not any(_is_number(field) for field in rows[0])
    if len(rows) == int(named):
        raise ValueError(f"{path} has a header and no row; expected a table of numbers. Check the file, or say data.header=false.")
    names = rows[0] if named else [str(column) for column in range(1, len(rows[0]) + 1)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}, line {lines[0][0]}: the column {twice!r} stands twice; expected different names. Rename one.")
    return Table(path, names, rows[int(named) :], [line for line, _ in lines[int(named) :]], lines[0][0] if named else 0)


def _separator(name: str | None, line: str) -> str | None:
    if name is not None:
        if name not in SEPARATORS:
            raise ValueError(unknown("separator", name, list(SEPARATORS)))
        return SEPARATORS[name]
    return next((mark for mark in ("\t", ";", ",") if mark in line), None)


def _fields(line: str, mark: str | None) -> list[str]:
    fields = line.split() if mark is None else next(csv.reader([line], delimiter=mark))
    return [field.strip() for field in fields]


def _is_number(field: str) -> bool:
    return _value(field) is not None


def _value(field: str) -> float | None:
    """A field as a float, None when it is none. Python reads 2020_01 as one, which in a table is a name."""
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None


def number(field: str, table: Table, row: int, column: int) -> float:
    """A field as a number; NaN for one that is missing. ValueError names its place when it is a text or infinite."""
    if field.lower() in MISSING:
        return math.nan
    value = _value(field)
    if value is None or math.isinf(value):
        first = "" if row or table.header else " If it names the columns, say data.header=true; if a series has its dates there, data.date=NUMBER."
        raise ValueError(
            f"{table.place(row)}: {field!r} in column {table.names[column]!r}; expected a finite number, or nothing where none was measured. "
            f"Repair the line, or choose other columns.{first}"
        )
    return value
