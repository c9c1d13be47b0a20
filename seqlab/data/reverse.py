"""Reverse a string: the smallest task that needs one sequence to be written from another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.data.base import Batch, DataSpec, Example, ExampleSplit, SequenceDataModule
from seqlab.data.long_input import lines_of, say_long
from seqlab.data.pair_sides import write_lines
from seqlab.data.pairs import END, MARKS, pad_pairs
from seqlab.data.text_files import read_lines


class Reverse(SequenceDataModule):
    """Strings of 1 to max_length random symbols, and the same backwards; the test's go up to test_max_length.

    Inputs and targets number the symbols alike: padding 0, start 1, end 2, then the letters. A target ends with the end.
    """

    def __init__(
        self,
        num_symbols: int = 26,
        max_length: int = 20,
        test_min_length: int = 1,
        test_max_length: int = 20,
        num_train: int = 20_000,
        num_val: int = 500,
        num_test: int = 1_000,
        batch_size: int = 64,
        eval_batch_size: int = 250,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        if not 2 <= num_symbols <= 26:
            raise ValueError(f"num_symbols is {num_symbols}; expected 2 to 26 letters.")
        if not (max_length >= 1 and 1 <= test_min_length <= test_max_length):
            raise ValueError(f"max_length is {max_length}, the test has {test_min_length} to {test_max_length}; expected 1 <= shortest <= longest.")
        self.num_symbols = num_symbols
        self.lengths = {"train": (1, max_length), "val": (1, max_length), "test": (test_min_length, test_max_length)}
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbol of each id."""
        return (*MARKS, *(chr(ord("a") + letter) for letter in range(self.num_symbols)))

    @property
    def spec(self) -> DataSpec:
        size = len(self.symbols)
        return DataSpec(inputs="tokens", input_size=size, targets="symbols", output_size=size, labels=self.symbols)

    def setup(self, stage: str | None = None) -> None:
        for number, (split, size) in enumerate(self.sizes.items()):
            generator = torch.Generator().manual_seed(3 * self.seed + number)
            low, high = self.lengths[split]
            lengths = torch.randint(low, high + 1, (size,), generator=generator).tolist()
            strings = [torch.randint(len(MARKS), len(self.symbols), (length,), generator=generator) for length in lengths]
            self.splits[split] = ExampleSplit([Example(string, torch.cat([string.flip(0), torch.tensor([END])])) for string in strings])

    def collate(self, examples: Sequence[Example]) -> Batch:
        return pad_pairs(examples)

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        batch = pad_pairs([self.splits["test"][row] for row in range(min(5, self.sizes["test"]))])
        return [f"{self.text(source)} -> {self.text(written)}" for source, written in zip(batch.inputs, predict(batch), strict=True)]

    def step_names(self, inputs: Tensor) -> list[str]:
        return [self.symbols[index] for index in inputs.tolist()]

    def restore(self, directory: Path) -> None:
        """Nothing was learned from the data: the config of the run says it all."""

    def read_new(self, file: Path) -> list[Example | None]:
        """A line of the file is a string of the letters."""
        ids, rows = {symbol: index for index, symbol in enumerate(self.symbols)}, []
        for number, line in enumerate(read_lines(file), 1):
            if missing := [letter for letter in line.strip() if letter not in ids]:
                last = self.symbols[-1]
                raise ValueError(f"{file}, line {number}: {missing[0]!r} is no letter that the model knows; expected a to {last} alone. Repair the line.")
            found = torch.tensor([ids[letter] for letter in line.strip()], dtype=torch.long)
            rows.append(Example(found, found[:0]) if len(found) else None)
        say_long("strings", rows, lines_of(file, len(rows)), self.lengths["train"][1], lambda length: f"{length} symbols")
        return rows

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        write_lines(answers, "".join, output)

    def text(self, ids: Tensor) -> str:
        """ids (U,) -> the letters; the marks leave no trace."""
        return "".join(self.symbols[index] for index in ids.tolist() if index >= len(MARKS))
