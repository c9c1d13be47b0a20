"""One file per sequence, and a class for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlab.data.base import SPLITS
from seqlab.data.labelled_series import LabelledSeries, SeriesData
from seqlab.data.number_tables import read_table
from seqlab.data.split_files import SplitFiles, check_groups
from seqlab.data.splits import find_part, hold_out


class SeriesFolder(SeriesData):
    """A folder with a file for each sequence: a row for each step, a column for each feature.

    path: the folder, files: which files in it are sequences; or train, test and val, a folder each (see SplitFiles), which are the
    splits: then grouped=true says that no group may be in two of them, and there are no folds. The class of a file is in a `table`, a CSV with the columns
    file_column, label_column and, where there are groups, group_column; or in its name, where the regular expression label_pattern
    finds it, and group_pattern the group: its first parenthesis, or all of it. A file in the table is named by its path in the folder,
    with or without its ending. columns: those that are read, by name or number; None: all. A missing value takes the last one before it.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        train: str | Path | None = None,
        val: str | Path | None = None,
        test: str | Path | None = None,
        label_pattern: str | None = None,
        group_pattern: str | None = None,
        table: str | Path | None = None,
        file_column: str = "file",
        label_column: str = "class",
        group_column: str | None = None,
        **options: Any,
    ) -> None:
        """options: those of SeriesData."""
        super().__init__(**options)
        if (label_pattern is None) == (table is None):
            raise ValueError("data.label_pattern and data.table: expected exactly one of them, to say the class of each file.")
        if (group_pattern or group_column) and not self.grouped and self.leave_out is None:
            name = "group_pattern" if group_pattern else "group_column"
            raise ValueError(
                f"data.{name} is {group_pattern or group_column!r}, but nothing keeps the groups apart; expected data.grouped=true, so that none is on both "
                "sides, or data.leave_out=GROUP. Say which, or leave the groups out."
            )
        self.sources = SplitFiles(path, train, val, test, self.fractions, self.split_seed)
        if path is None and (self.num_folds is not None or self.leave_out is not None):
            raise ValueError(
                "data.train and data.test are the splits, but data.num_folds or data.leave_out would make others. Set them to null, or give data.path."
            )
        self.label_pattern, self.group_pattern = _compiled(label_pattern, "label"), _compiled(group_pattern, "group")
        self._given: dict[str, list[int]] = {}  # the sequences of `path`, and of each split that has a folder
        self.table, self.file_column, self.label_column, self.group_column = table, file_column, label_column, group_column

    def read(self) -> list[LabelledSeries]:
        named = None if self.table is None else self._from_table(Path(self.table).expanduser())
        found: list[LabelledSeries] = []
        for split in ("path", *SPLITS):
            self._given[split] = []
            if (source := getattr(self.sources, split)) is None:
                continue
            folder = Path(source).expanduser()
            places = self.find_files(folder)
            self._given[split] = list(range(len(found), len(found) + len(places)))
            for place in places:
                label, group = self._of_file(place, place.relative_to(folder), named)
                values = self.values_of(place)
                if found and values.shape[1] != found[0].values.shape[1]:
                    raise ValueError(
                        f"{place} has {values.shape[1]} columns; expected {found[0].values.shape[1]}, as in {found[0].place}. Choose data.columns."
                    )
                found.append(LabelledSeries(values, label, group, str(place)))
        return found

    def choose(self, series: Sequence[LabelledSeries]) -> dict[str, list[int]]:
        if self._given["path"]:
            return super().choose(series)
        groups = self.kept_groups(series)
        train, val, test = (self._given[split] for split in SPLITS)
        if not val:
            kept, held = hold_out(
                len(train), self.fractions[1] / (self.fractions[0] + self.fractions[1]), self.split_seed, None if groups is None else [groups[i] for i in train]
            )
            train, val = [train[index] for index in kept], [train[index] for index in held]
        parts: dict[str, list[int]] = {"train": train, "val": val, "test": test}
        if groups is not None:
            check_groups({split: {groups[index] for index in part} for split, part in parts.items()})
        return parts

    def _from_table(self, table: Path) -> dict[str, tuple[str, str | None]]:
        """{file: (class, group)}."""
        rows = read_table(table, self.encoding, header=True)
        file, label = rows.column(self.file_column), rows.column(self.label_column)
        group = None if self.group_column is None else rows.column(self.group_column)
        found: dict[str, tuple[str, str | None]] = {}
        for index, row in enumerate(rows.rows):
            if row[file] in found or not row[label]:
                what = f"the file {row[file]!r} stands twice" if row[label] else f"the file {row[file]!r} has no class"
                raise ValueError(f"{rows.place(index)}: {what}; expected one class for each file.")
            found[row[file]] = (row[label], None if group is None else row[group])
        return found

    def _of_file(self, place: Path, name: Path, named: dict[str, tuple[str, str | None]] | None) -> tuple[str, str | None]:
        """Class and group of a file. name: its path in the folder."""
        if named is None:
            assert self.label_pattern is not None
            label, group = _find(self.label_pattern, name, "label"), None
        else:
            key = next((key for key in (name.as_posix(), name.with_suffix("").as_posix(), name.name, name.stem) if key in named), None)
            if key is None:
                raise ValueError(f"{place} is not in {self.table}; expected a row with its class. Add it, or narrow data.files.")
            label, group = named[key]
        return label, group if self.group_pattern is None else _find(self.group_pattern, name, "group")

    def is_other(self, place: Path) -> bool:
        return self.table is not None and place.resolve() == Path(self.table).expanduser().resolve()


def _compiled(pattern: str | None, what: str) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise ValueError(f"data.{what}_pattern is {pattern!r}, which is no regular expression: {error}. Repair it.") from error


def _find(pattern: re.Pattern[str], name: Path, what: str) -> str:
    found = find_part(pattern, name.as_posix())
    if found is None:
        raise ValueError(f"data.{what}_pattern {pattern.pattern!r} finds nothing in {name.as_posix()!r}; expected the {what} of each file. Narrow data.files.")
    return found
