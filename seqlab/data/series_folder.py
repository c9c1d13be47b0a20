"""One file per sequence, and a class for each. Dimension key: T time, I columns."""

from __future__ import annotations

import csv
import logging
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.data.base import SPEC, SPLITS, DataSpec, Example, ExampleSplit, SequenceDataModule
from seqlab.data.number_tables import Table, read_table
from seqlab.data.splits import Fractions, check_fractions, hold_out, leave_group_out, split_examples, stratified_folds, warn_of_duplicates

log = logging.getLogger("seqlab")


@dataclass(frozen=True)
class LabelledSeries:
    """A sequence (T, I), its class, its group or None, and where it is from."""

    values: Tensor
    label: str
    group: str | None
    place: str


class SeriesData(SequenceDataModule):
    """Sequences of numbers with a class each, split by config. Subclasses say in `read` where they come from.

    fractions: of training, validation and test, dealt out by split_seed; with `grouped` a group stays whole.
    num_folds, fold: instead, that fold of num_folds is the test; each has its share of every class (and whole groups, with
    `grouped`). leave_out: instead, the group of that name is the test. With both, the validation is the share `val_fraction`
    of what is left. The classes are those of the training split, in the order of the alphabet or of their numbers.
    """

    def __init__(
        self,
        fractions: Fractions = (0.7, 0.15, 0.15),
        split_seed: int = 0,
        grouped: bool = False,
        num_folds: int | None = None,
        fold: int = 0,
        leave_out: str | int | None = None,
        val_fraction: float = 0.1,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        check_fractions(fractions)
        if num_folds is not None and leave_out is not None:
            raise ValueError(f"data.num_folds is {num_folds} and data.leave_out is {leave_out!r}; expected one of them. Set the other to null.")
        if num_folds is not None and not 0 <= fold < num_folds:
            raise ValueError(f"data.fold is {fold}; expected 0..{num_folds - 1}, one of data.num_folds={num_folds}.")
        self.fractions, self.split_seed, self.grouped = fractions, split_seed, grouped
        self.num_folds, self.fold, self.leave_out, self.val_fraction = num_folds, fold, leave_out, val_fraction
        self._spec: DataSpec | None = None

    @abstractmethod
    def read(self) -> list[LabelledSeries]:
        """All sequences, in a fixed order."""

    @property
    def spec(self) -> DataSpec:
        assert self._spec is not None, "setup or restore comes first"
        return self._spec

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        series = self.read()
        chosen = self._choose(series)
        labels = sorted({series[index].label for index in chosen["train"]}, key=_in_order)
        self._spec = DataSpec("features", series[0].values.shape[1], "sequence", len(labels), labels=tuple(labels))
        for split, indices in chosen.items():
            for index in indices:
                if series[index].label not in labels:
                    raise ValueError(
                        f"{series[index].place}: the class {series[index].label!r} is in the {split} split and in none of the {len(chosen['train'])} training "
                        f"sequences; expected one of {', '.join(labels)}. Split otherwise (data.split_seed), or leave the file out."
                    )
            self.splits[split] = ExampleSplit([Example(series[index].values, torch.tensor(labels.index(series[index].label))) for index in indices])
        self.duplicates = warn_of_duplicates({split: [series[index].values.numpy().tobytes() for index in indices] for split, indices in chosen.items()})

    def _choose(self, series: Sequence[LabelledSeries]) -> dict[str, list[int]]:
        """The indices of each split."""
        groups = [one.group for one in series]
        if (self.grouped or self.leave_out is not None) and None in groups:
            raise ValueError(f"{series[groups.index(None)].place} has no group; expected one for every sequence. Say where it stands, or split without groups.")
        kept = groups if self.grouped else None
        if self.leave_out is not None:
            rest, test = leave_group_out(groups, self.leave_out)
        elif self.num_folds is not None:
            folds = stratified_folds([one.label for one in series], self.num_folds, self.split_seed, kept)
            test = folds[self.fold]
            rest = sorted(index for number, fold in enumerate(folds) if number != self.fold for index in fold)
        else:
            return split_examples(len(series), self.fractions, self.split_seed, kept)
        train, val = hold_out(len(rest), self.val_fraction, self.split_seed, [groups[index] for index in rest] if self.grouped else None)
        return dict(zip(SPLITS, ([rest[index] for index in train], [rest[index] for index in val], test), strict=True))

    def restore(self, directory: Path) -> None:
        path = directory / SPEC
        if not path.is_file():
            raise ValueError(f"run directory {directory} has no {SPEC}; expected a run that has read its data. Train it again.")
        self._spec = DataSpec.from_json(path.read_text(encoding="utf-8"))


def _in_order(label: str) -> tuple[float, str]:
    """Numbers by their value, before all else by the alphabet."""
    return (float(label), label) if re.fullmatch(r"[+-]?\d+(\.\d+)?", label) else (float("inf"), label)


class SeriesFolder(SeriesData):
    """A folder with a file for each sequence: a row for each step, a column for each feature.

    path: the folder. files: which files in it are sequences. The class of a file is in a `table`, a CSV with the columns
    file_column, label_column and, where there are groups, group_column; or in its name, where the regular expression label_pattern
    finds it, and group_pattern the group: its first parenthesis, or all of it. A file in the table is named by its path in the folder,
    with or without its ending. columns: those that are read, by name or number; None: all. A missing value takes the last one before it.
    """

    def __init__(
        self,
        path: str | Path,
        files: str = "*.csv",
        label_pattern: str | None = None,
        group_pattern: str | None = None,
        table: str | Path | None = None,
        file_column: str = "file",
        label_column: str = "class",
        group_column: str | None = None,
        columns: Sequence[str | int] | None = None,
        header: bool | None = None,
        separator: str | None = None,
        encoding: str = "utf-8",
        **options: Any,
    ) -> None:
        """options: those of SeriesData."""
        super().__init__(**options)
        if (label_pattern is None) == (table is None):
            raise ValueError("data.label_pattern and data.table: expected exactly one of them, to say the class of each file.")
        self.path, self.files = Path(path).expanduser(), files
        self.label_pattern, self.group_pattern = _compiled(label_pattern, "label"), _compiled(group_pattern, "group")
        self.table, self.file_column, self.label_column, self.group_column = table, file_column, label_column, group_column
        self.columns, self.header, self.separator, self.encoding = columns, header, separator, encoding
        self._read_files: list[Path] = []  # what read_new read last

    def read(self) -> list[LabelledSeries]:
        places = self._files(self.path)
        named = None if self.table is None else self._from_table(Path(self.table).expanduser())
        found: list[LabelledSeries] = []
        for place in places:
            label, group = self._of_file(place, named)
            values = self._values(place)
            if found and values.shape[1] != found[0].values.shape[1]:
                raise ValueError(f"{place} has {values.shape[1]} columns; expected {found[0].values.shape[1]}, as in {found[0].place}. Choose data.columns.")
            found.append(LabelledSeries(values, label, group, str(place)))
        return found

    def _files(self, folder: Path) -> list[Path]:
        places = sorted(place for place in folder.glob(self.files) if place.is_file() and (self.table is None or place != Path(self.table).expanduser()))
        if not places:
            raise ValueError(f"folder {folder} has no file {self.files!r}; expected one for each sequence. Give data.path=FOLDER and data.files=PATTERN.")
        return places

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

    def _of_file(self, place: Path, named: dict[str, tuple[str, str | None]] | None) -> tuple[str, str | None]:
        """Class and group of a file."""
        name = place.relative_to(self.path)
        if named is None:
            assert self.label_pattern is not None
            label, group = _find(self.label_pattern, name, "label"), None
        else:
            key = next((key for key in (name.as_posix(), name.with_suffix("").as_posix(), name.name, name.stem) if key in named), None)
            if key is None:
                raise ValueError(f"{place} is not in {self.table}; expected a row with its class. Add it, or narrow data.files.")
            label, group = named[key]
        return label, group if self.group_pattern is None else _find(self.group_pattern, name, "group")

    def _values(self, place: Path) -> Tensor:
        table = read_table(place, self.encoding, self.header, self.separator)
        return numbers_of(table, range(len(table.names)) if self.columns is None else [table.column(name) for name in self.columns])

    def read_new(self, file: Path) -> list[Example | None]:
        """The sequence in a file, or one for each file in a folder, in the order of their names."""
        self._read_files = self._files(file) if file.is_dir() else [file]
        rows: list[Example | None] = []
        for place in self._read_files:
            values = self._values(place)
            if values.shape[1] != self.spec.input_size:
                raise ValueError(
                    f"{place} has {values.shape[1]} columns; expected {self.spec.input_size}, as the run was trained on. Give a file of that kind."
                )
            rows.append(Example(values, torch.tensor(0)))
        return rows

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        """A CSV with a row for each file: its name and what the model says of it."""
        said = [answer for answer in answers if answer is not None]
        with open(output, "w", encoding="utf-8", newline="") as target:
            writer = csv.writer(target, lineterminator="\n")
            writer.writerow(["file", *said[0]])
            for place, answer in zip(self._read_files, said, strict=True):
                writer.writerow([place.name, *(f"{value:.6g}" if isinstance(value, float) else value for value in answer.values())])


def numbers_of(table: Table, columns: Sequence[int]) -> Tensor:
    """The columns as a sequence (T, I); a missing value takes the last one before it, or 0, and the log says so."""
    values = torch.tensor(table.numbers(columns))
    missing = values.isnan()
    if bool(missing.any()):
        row, column = missing.nonzero()[0].tolist()
        log.warning(
            "%s: %d values are missing, the first in column %r; each takes the last one before it.", table.place(row), int(missing.sum()), table.names[column]
        )
        last = torch.where(missing, -1, torch.arange(len(values))[:, None]).cummax(0).values
        values = torch.where(last < 0, 0.0, values.gather(0, last.clamp(min=0)))
    return values


def _compiled(pattern: str | None, what: str) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise ValueError(f"data.{what}_pattern is {pattern!r}, which is no regular expression: {error}. Repair it.") from error


def _find(pattern: re.Pattern[str], name: Path, what: str) -> str:
    match = pattern.search(name.as_posix())
    if match is None:
        raise ValueError(f"data.{what}_pattern {pattern.pattern!r} finds nothing in {name.as_posix()!r}; expected the {what} of each file. Narrow data.files.")
    return match.group(1) if pattern.groups else match.group()
