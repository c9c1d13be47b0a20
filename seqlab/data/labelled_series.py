"""Sequences with a class each: their splits, and new ones in files. Dimension key: T time, I columns."""

from __future__ import annotations

import csv
import json
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
from seqlab.data.file_answers import file_names, find_in_folder
from seqlab.data.labelled_text import read_record
from seqlab.data.number_tables import Table, read_table
from seqlab.data.splits import Fractions, check_fractions, hold_out, leave_group_out, split_examples, stratified_folds, warn_of_duplicates

COLUMNS = "columns.json"  # the names of the columns in a run directory, where the files name them
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
    files, columns, header, separator, encoding: of files with a sequence each, as new input has them: which files in a folder, and
    how a table is read (see `read_table`); columns: those that are read, by name or number; None: all, and files whose headers differ
    are an error.
    batch_tokens: batches of so many steps, padding included, of sequences of about one length, in place of batch_size.
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
        files: str = "*.csv",
        columns: Sequence[str | int] | None = None,
        header: bool | None = None,
        separator: str | None = None,
        encoding: str = "utf-8",
        batch_size: int = 32,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed, batch_tokens)
        check_fractions(fractions)
        if num_folds is not None and leave_out is not None:
            raise ValueError(f"data.num_folds is {num_folds} and data.leave_out is {leave_out!r}; expected one of them. Set the other to null.")
        if num_folds is None and fold:
            raise ValueError(f"data.fold is {fold} but data.num_folds is null; expected the number of folds, of which it is one. Give data.num_folds=5, or so.")
        if num_folds is not None and not 0 <= fold < num_folds:
            raise ValueError(f"data.fold is {fold}; expected 0..{num_folds - 1}, one of data.num_folds={num_folds}.")
        self.fractions, self.split_seed, self.grouped = fractions, split_seed, grouped
        self.num_folds, self.fold, self.leave_out, self.val_fraction = num_folds, fold, leave_out, val_fraction
        self.files, self.columns, self.header, self.separator, self.encoding = files, columns, header, separator, encoding
        self._spec: DataSpec | None = None
        self.names: list[str] = []  # of the columns, where the files have headers and `columns` is None
        self._read_files: list[Path] = []  # what read_new read last
        self._missing: list[str] = []  # the first missing value of each sequence that was read and has some

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
        self._say_missing(len(series))
        chosen = self.choose(series)
        labels = sorted({series[index].label for index in chosen["train"]}, key=_in_order)
        if len(labels) < 2:
            raise ValueError(
                f"the {len(chosen['train'])} training sequences, the first {series[chosen['train'][0]].place}, are all of the class {labels[0]!r}; expected "
                "2 classes or more. Check where the class of each file is found, or give others."
            )
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

    def choose(self, series: Sequence[LabelledSeries]) -> dict[str, list[int]]:
        """The indices of each split."""
        kept = self.kept_groups(series)
        if self.leave_out is not None:
            rest, test = leave_group_out([one.group for one in series], self.leave_out)
        elif self.num_folds is not None:
            folds = stratified_folds([one.label for one in series], self.num_folds, self.split_seed, kept)
            test = folds[self.fold]
            rest = sorted(index for number, fold in enumerate(folds) if number != self.fold for index in fold)
        else:
            return split_examples(len(series), self.fractions, self.split_seed, kept)
        train, val = hold_out(len(rest), self.val_fraction, self.split_seed, None if kept is None else [kept[index] for index in rest])
        return dict(zip(SPLITS, ([rest[index] for index in train], [rest[index] for index in val], test), strict=True))

    def kept_groups(self, series: Sequence[LabelledSeries]) -> list[str | None] | None:
        """The group of each sequence where groups stay whole. Raises ValueError when one is needed and missing."""
        groups = [one.group for one in series]
        if (self.grouped or self.leave_out is not None) and None in groups:
            raise ValueError(f"{series[groups.index(None)].place} has no group; expected one for every sequence. Say where it stands, or split without groups.")
        return groups if self.grouped else None

    def records(self) -> dict[str, str]:
        return {**super().records(), **({COLUMNS: json.dumps(self.names, ensure_ascii=False) + "\n"} if self.names else {})}

    def restore(self, directory: Path) -> None:
        self._spec = read_record(directory / SPEC, DataSpec.from_json)
        names = directory / COLUMNS
        self.names = read_record(names, json.loads) if names.is_file() else []

    def find_files(self, folder: Path) -> list[Path]:
        """The sequences in a folder, in the order of their names. Raises ValueError when there is none."""
        return find_in_folder(folder, self.files, "one for each sequence", self.is_other)

    def is_other(self, place: Path) -> bool:
        """Whether a file among the sequences is something else; never by default."""
        return False

    def values_of(self, place: Path) -> Tensor:
        """The sequence (T, I) in a file. Raises ValueError for a header that names other columns, or in another order, than the one before."""
        table = read_table(place, self.encoding, self.header, self.separator)
        if self.columns is not None:
            return self.numbers_of(table, table.columns(self.columns))
        if table.header:
            table.check_named(range(len(table.names)), "data.columns=[…]")
            self.names = self.names or table.names
            if len(table.names) == len(self.names) and table.names != self.names:
                raise table.other_columns(table.names, self.names)
        return self.numbers_of(table, range(len(table.names)))

    def numbers_of(self, table: Table, columns: Sequence[int]) -> Tensor:
        """The columns as a sequence (T, I); a missing value takes the last one before it, or 0, which `_say_missing` tells."""
        values = torch.tensor(table.numbers(columns))
        missing = values.isnan()
        if bool(missing.any()):
            row, column = missing.nonzero()[0].tolist()
            self._missing.append(f"{table.place(row)}, column {table.names[columns[column]]!r}")
            last = torch.where(missing, -1, torch.arange(len(values))[:, None]).cummax(0).values
            values = torch.where(last < 0, 0.0, values.gather(0, last.clamp(min=0)))
        return values

    def _say_missing(self, number: int) -> None:
        """Warn once of all sequences with missing values among so many that were read."""
        if self._missing:
            log.warning(
                "%d of %d sequences have missing values, the first in %s; each takes the last one before it, or 0.",
                len(self._missing),
                number,
                self._missing[0],
            )
            self._missing.clear()

    def read_new(self, file: Path) -> list[Example | None]:
        """The sequence in a file, or one for each file in a folder, in the order of their names."""
        self._read_files = self.find_files(file) if file.is_dir() else [file]
        rows: list[Example | None] = []
        for place in self._read_files:
            values = self.values_of(place)
            if values.shape[1] != self.spec.input_size:
                raise ValueError(
                    f"{place} has {values.shape[1]} columns; expected {self.spec.input_size}, as the run was trained on. Give a file of that kind."
                )
            rows.append(Example(values, torch.tensor(0)))
        self._say_missing(len(rows))
        return rows

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        """A CSV with a row for each file: its name and what the model says of it."""
        said = [answer for answer in answers if answer is not None]
        with open(output, "w", encoding="utf-8", newline="") as target:
            writer = csv.writer(target, lineterminator="\n")
            writer.writerow(["file", *said[0]])
            for name, answer in zip(file_names(self._read_files), said, strict=True):
                writer.writerow([name, *(f"{value:.6g}" if isinstance(value, float) else value for value in answer.values())])


def _in_order(label: str) -> tuple[float, str]:
    """Numbers by their value, before all else by the alphabet."""
    return (float(label), label) if re.fullmatch(r"[+-]?\d+(\.\d+)?", label) else (float("inf"), label)
