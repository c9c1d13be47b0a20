"""Sequences of 0 and 1, one per file: which labels the next step has. Dimension key: T time, N labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.data.base import SPEC, SPLITS, DataSpec, Example, ExampleSplit, SequenceDataModule
from seqlab.data.file_answers import file_names, find_in_folder
from seqlab.data.labelled_text import read_record
from seqlab.data.number_tables import read_table
from seqlab.data.split_files import SplitFiles
from seqlab.data.splits import Fractions, group_by_name, warn_of_duplicates


@dataclass(frozen=True)
class Roll:
    """The steps (T, N), 0 or 1; the names of the labels; the file, and its group or None."""

    steps: Tensor
    names: tuple[str, ...]
    file: Path
    group: str | None


class PianoRoll(SequenceDataModule):
    """A folder with a table for each sequence: a row for each step and a column for each label, such as a note, 1 where the step
    has it and else 0. Targets are the labels of each next step.

    path: the folder, dealt out by `fractions` and split_seed; or train, test and val, a folder each (see SplitFiles). group_pattern:
    finds in a file's name the group, such as the composer, that stays on one side. files: which files in a folder are sequences.
    columns: those that are read, by name or number; None: all. header, separator, encoding: see `read_table`. batch_tokens: batches
    of so many steps, padding included, in place of batch_size sequences.
    New input is a file or a folder of them; the answer is a table with a row for each row of each: the probability of every label
    in the row after it.
    """

    next_steps = True

    def __init__(
        self,
        path: str | Path | None = None,
        train: str | Path | None = None,
        val: str | Path | None = None,
        test: str | Path | None = None,
        files: str = "*.csv",
        group_pattern: str | None = None,
        columns: Sequence[str | int] | None = None,
        header: bool | None = None,
        separator: str | None = None,
        encoding: str = "utf-8",
        fractions: Fractions = (0.8, 0.1, 0.1),
        split_seed: int = 0,
        batch_size: int = 16,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed, batch_tokens)
        self.sources = SplitFiles(path, train, val, test, fractions, split_seed)
        self.files, self.group_pattern = files, group_pattern
        self.columns, self.header, self.separator, self.encoding = columns, header, separator, encoding
        self.names: tuple[str, ...] = ()
        self._new: list[Roll] = []  # what read_new read last

    @property
    def spec(self) -> DataSpec:
        assert self.names, "setup or restore comes first"
        return DataSpec("features", len(self.names), "bits", len(self.names), self.names)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        parts = self.sources.read(self._read_folder, None if self.group_pattern is None else lambda roll: roll.group)
        for split in SPLITS:
            for roll in parts[split]:
                if len(roll.steps) < 2:
                    raise ValueError(f"{roll.file} has 1 row; expected 2 at least: one that is read, and one that is to be known from it. Leave the file out.")
            self.splits[split] = ExampleSplit([Example(roll.steps[:-1], roll.steps[1:]) for roll in parts[split]])
        self.duplicates = warn_of_duplicates({split: [roll.steps.numpy().tobytes() for roll in parts[split]] for split in SPLITS})

    def _read_folder(self, folder: Path) -> list[Roll]:
        places = find_in_folder(folder, self.files, "one for each sequence")
        groups = [None] * len(places) if self.group_pattern is None else group_by_name(places, self.group_pattern)
        return [self._read(place, group) for place, group in zip(places, groups, strict=True)]

    def _read(self, place: Path, group: str | None = None) -> Roll:
        """The sequence in a file. Raises ValueError for a value that is not 0 or 1, and for other columns than those of the file before."""
        table = read_table(place, self.encoding, self.header, self.separator)
        columns = list(range(len(table.names))) if self.columns is None else table.columns(self.columns)
        names = tuple(table.names[column] for column in columns)
        self.names = self.names or names
        if names != self.names and (table.header or len(names) != len(self.names)):
            raise table.other_columns(names, self.names)
        steps = torch.tensor(table.numbers(columns))
        wrong = (steps != 0) & (steps != 1)
        if bool(wrong.any()):
            row, label = wrong.nonzero()[0].tolist()
            remedy = "Repair the line, or choose other columns." if row or table.header else "Repair it, or say data.header=true if it names the columns."
            raise ValueError(f"{table.place(row)}: {table.rows[row][columns[label]]!r} in column {names[label]!r}; expected 0 or 1. {remedy}")
        return Roll(steps, self.names, place, group)

    def restore(self, directory: Path) -> None:
        self.names = read_record(directory / SPEC, DataSpec.from_json).labels

    def read_new(self, file: Path) -> list[Example | None]:
        self._new = self._read_folder(file) if file.is_dir() else [self._read(file)]
        return [Example(roll.steps, torch.empty(0)) for roll in self._new]

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        """A CSV, or with .jsonl an object for each file: the file, and for each of its rows the probability of every label in the next."""
        names = file_names([roll.file for roll in self._new])
        found = [(name, answer["probabilities"]) for name, answer in zip(names, answers, strict=True) if answer is not None]
        with open(output, "w", encoding="utf-8", newline="") as target:
            if output.suffix == ".jsonl":
                target.writelines(json.dumps({"file": name, "labels": self.names, "next": steps}, ensure_ascii=False) + "\n" for name, steps in found)
                return
            writer = csv.writer(target, lineterminator="\n")
            writer.writerow(["file", "row", *self.names])
            for name, steps in found:
                writer.writerows([name, row, *(f"{probability:.4f}" for probability in step)] for row, step in enumerate(steps, 1))
