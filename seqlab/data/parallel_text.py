"""Text and its translation, from files of one's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from seqlab.data.base import Batch, DataSpec, Example, ExampleSplit
from seqlab.data.pair_sides import PairSides
from seqlab.data.pairs import END, pad_pairs
from seqlab.data.pieces import Pieces, spaced
from seqlab.data.side import Side
from seqlab.data.splits import warn_of_duplicates
from seqlab.data.text_files import read_lines, table_kind

log = logging.getLogger("seqlab")


class Pair(NamedTuple):
    """A source, its target, and the line that both stand in."""

    source: str
    target: str
    line: int


class ParallelText(PairSides):
    """Pairs of lines. train, val, test: each one TSV file with source and target in its first two columns, without a header,
    or a list of two files whose lines correspond; any may end in .gz.

    unit: words, characters or bpe, with num_merges for each side (see Pieces). min_count: rarer pieces are read as unknown.
    max_length: longer training pairs, in pieces, are left out, and counted in the log; those of val and test never are.
    unknown_targets, batch_tokens: see PairSides.
    """

    def __init__(
        self,
        train: str | Sequence[str],
        val: str | Sequence[str],
        test: str | Sequence[str],
        unit: str = "bpe",
        num_merges: int = 8000,
        min_count: int = 1,
        max_length: int = 100,
        unknown_targets: str = "mark",
        encoding: str = "utf-8",
        batch_size: int = 64,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(unknown_targets, batch_size, batch_tokens, eval_batch_size, num_workers, seed)
        for name, value in (("min_count", min_count), ("max_length", max_length)):
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1.")
        Pieces(unit)  # an unknown unit is an error before anything is read
        self.files = {"train": train, "val": val, "test": test}
        self.unit, self.num_merges, self.min_count, self.max_length, self.encoding = unit, num_merges, min_count, max_length, encoding

    @property
    def spec(self) -> DataSpec:
        source, target = self.sides
        return DataSpec("tokens", len(source.symbols), "symbols", len(target.symbols), target.symbols)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        files = self.find_files()
        pairs = {split: read_pairs(names, self.encoding) for split, names in files.items()}
        self.texts = {split: [pair.target for pair in pairs[split]] for split in ("val", "test")}
        restored = self.source is not None
        if not restored:
            self.source, self.target = (
                Side.learn(list(texts), self.unit, self.num_merges, self.min_count)
                for texts in (map(attrgetter(name), pairs["train"]) for name in ("source", "target"))
            )
        source, target = self.sides
        for split, texts in self.texts.items():
            name = file_names(files[split])[-1]
            self.check_targets(split, texts, [f"{name}, line {pair.line}" for pair in pairs[split]])
        for split, rows in pairs.items():
            examples = [Example(source.encode(pair.source), torch.cat([target.encode(pair.target), torch.tensor([END])])) for pair in rows]
            if split == "train":
                kept = [e for e in examples if max(len(e.inputs), len(e.targets) - 1) <= self.max_length]
                if len(kept) < len(examples):
                    log.warning(f"{len(examples) - len(kept)} of {len(examples)} training pairs are longer than data.max_length={self.max_length}: left out.")
                examples = kept
                if not restored:
                    source.longest = max((len(e.inputs) for e in kept), default=0)
            self.splits[split] = ExampleSplit(examples)
        self.duplicates = warn_of_duplicates({split: [pair[:2] for pair in rows] for split, rows in pairs.items()})

    def find_files(self) -> dict[str, str | Sequence[str]]:
        """{split: its file or files}."""
        return self.files

    def collate(self, examples: Sequence[Example]) -> Batch:
        return pad_pairs(examples)

    def step_names(self, inputs: Tensor) -> list[str]:
        return [self.sides[0].symbols[index] for index in inputs.tolist()]

    def read_new(self, file: Path) -> list[Example | None]:
        """A line of the file is a source, of a TSV file its first column; one without a piece, a blank one, is None."""
        kind = table_kind(file)
        if kind in ("csv", "jsonl"):
            raise ValueError(f"{file} is a table by its name; expected a source on each line, or TSV with the sources in its first column. Give sources alone.")
        lines = read_lines(file, self.encoding)
        if kind == "tsv":
            lines = [line.partition("\t")[0] for line in lines]
        found = [self.sides[0].encode(line) for line in lines]
        rows = [Example(row, torch.zeros(0, dtype=torch.long)) if len(row) else None for row in found]
        self.say_long(file, rows)
        self.say_unknown(file, rows, lines)
        return rows

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        source, target = self.sides
        split = self.splits["test"]
        assert isinstance(split, ExampleSplit)
        batch = pad_pairs(split.examples[:5])
        rows = zip(batch.inputs.tolist(), predict(batch).tolist(), strict=True)
        return [f"{source.decode(read)} -> {target.decode(written)}" for read, written in rows]


def file_names(files: str | Sequence[str]) -> list[str]:
    """A split is one file or a list of them."""
    return [files] if isinstance(files, str) else list(files)


def read_pairs(files: str | Sequence[str], encoding: str = "utf-8") -> list[Pair]:
    """The pairs of one TSV file, or of two files line by line. Pairs of two blank sides are skipped.

    Raises ValueError naming file and line where one side is blank, has no partner, or a row has one column.
    """
    paths = [Path(file).expanduser() for file in file_names(files)]
    if not 1 <= len(paths) <= 2:
        raise ValueError(f"a split has {len(paths)} files; expected one TSV file, or two whose lines correspond.")
    lines = [read_lines(path, encoding) for path in paths]
    rows: list[tuple[str, ...]]
    if len(paths) == 2:
        counts = [len(part) for part in lines]
        if counts[0] != counts[1]:
            longer = paths[counts[1] > counts[0]]
            raise ValueError(
                f"{paths[0]} has {counts[0]} lines and {paths[1]} has {counts[1]}; expected as many in both. "
                f"The first without a partner is line {min(counts) + 1} of {longer}."
            )
        rows = list(zip(*lines, strict=True))
    else:
        rows = [tuple(line.split("\t")) if line.strip() else ("", "") for line in lines[0]]
    pairs = []
    for number, row in enumerate(rows, 1):
        if len(row) < 2:
            line = lines[0][number - 1][:40]
            raise ValueError(f"{paths[0]}, line {number} has no tab: {line!r}; expected source and target with a tab between. Or give two files.")
        left, right = row[0].strip(), row[1].strip()
        there = [bool(spaced(side)) for side in (left, right)]  # a side of marks of spaces alone has no piece
        if there[0] != there[1]:
            path = paths[-1] if there[0] else paths[0]
            raise ValueError(f"{path}, line {number}: the {'target' if there[0] else 'source'} is blank and its partner is not; expected text on both sides.")
        if there[0]:
            pairs.append(Pair(left, right, number))
    return pairs
