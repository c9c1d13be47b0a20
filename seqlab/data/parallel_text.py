"""Text and its translation, from files of one's own."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from seqlab.data.base import Batch, DataSpec, Example, ExampleSplit, SequenceDataModule
from seqlab.data.batches import BudgetBatches
from seqlab.data.pairs import END, MARKS, pad_pairs
from seqlab.data.pieces import Pieces
from seqlab.data.text_files import read_lines

PIECES = "pieces.json"  # how both sides are cut, in a run directory
_UNKNOWN = len(MARKS)
log = logging.getLogger("seqlab")


class Side:
    """One language: how its text is cut, and the symbol of each id. Ids 0 to 3 are padding, start, end and unknown."""

    def __init__(self, pieces: Pieces, symbols: Sequence[str]) -> None:
        self.pieces = pieces
        self.symbols = tuple(symbols)
        self.ids = {symbol: index for index, symbol in enumerate(self.symbols)}

    @classmethod
    def learn(cls, texts: Sequence[str], unit: str, num_merges: int, min_count: int) -> Side:
        """The pieces that stand at least min_count times in the training texts, the most frequent first."""
        pieces = Pieces.learn(unit, texts, num_merges)
        counts = Counter(piece for text in texts for piece in pieces.split(text))
        kept = sorted((piece for piece, count in counts.items() if count >= min_count), key=lambda piece: (-counts[piece], piece))
        return cls(pieces, (*MARKS, "<unk>", *kept))

    def encode(self, text: str) -> Tensor:
        """text -> ids (T,)."""
        return torch.tensor([self.ids.get(piece, _UNKNOWN) for piece in self.pieces.split(text)], dtype=torch.long)

    def decode(self, ids: Iterable[int]) -> str:
        """ids -> text; padding, start and end leave no trace."""
        return self.pieces.join(self.symbols[index] for index in ids if index >= len(MARKS))

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"unit": self.pieces.unit, "merges": self.pieces.merges, "symbols": self.symbols}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Side:
        """What `to_plain` gave."""
        return cls(Pieces(plain["unit"], [tuple(pair) for pair in plain["merges"]]), plain["symbols"])


class ParallelText(SequenceDataModule):
    """Pairs of lines. train, val, test: each one TSV file with source and target in its first two columns, without a header,
    or a list of two files whose lines correspond; any may end in .gz.

    unit: words, characters or bpe, with num_merges for each side (see Pieces). min_count: rarer pieces are read as unknown.
    max_length: longer training pairs, in pieces, are left out, and counted in the log; those of val and test never are.
    batch_tokens: training batches of at most so many steps of the longer side, padding included, in place of batch_size.
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
        encoding: str = "utf-8",
        batch_size: int = 64,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        for name, value in (("min_count", min_count), ("max_length", max_length), ("batch_tokens", 1 if batch_tokens is None else batch_tokens)):
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1.")
        Pieces(unit)  # an unknown unit is an error before anything is read
        self.files = {"train": train, "val": val, "test": test}
        self.unit, self.num_merges, self.min_count, self.max_length, self.encoding = unit, num_merges, min_count, max_length, encoding
        self.batch_tokens = batch_tokens
        self.texts: dict[str, list[str]] = {}  # {split: what each target reads as}, of val and test
        self.source: Side | None = None
        self.target: Side | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        """Source and target, known after `setup` or `restore`."""
        assert self.source is not None
        assert self.target is not None
        return self.source, self.target

    @property
    def source_symbols(self) -> tuple[str, ...]:
        """The symbol of each id of the inputs, for pictures."""
        return self.sides[0].symbols

    @property
    def spec(self) -> DataSpec:
        source, target = self.sides
        return DataSpec("tokens", len(source.symbols), "symbols", len(target.symbols), target.symbols)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        pairs = {split: read_pairs(files, self.encoding) for split, files in self.find_files().items()}
        self.texts = {split: [right for _, right in pairs[split]] for split in ("val", "test")}
        self.source, self.target = (Side.learn([pair[side] for pair in pairs["train"]], self.unit, self.num_merges, self.min_count) for side in (0, 1))
        for split, rows in pairs.items():
            examples = [Example(self.source.encode(left), torch.cat([self.target.encode(right), torch.tensor([END])])) for left, right in rows]
            if split == "train":
                kept = [e for e in examples if max(len(e.inputs), len(e.targets) - 1) <= self.max_length]
                if len(kept) < len(examples):
                    log.warning(f"{len(examples) - len(kept)} of {len(examples)} training pairs are longer than data.max_length={self.max_length}: left out.")
                examples = kept
            self.splits[split] = ExampleSplit(examples)

    def find_files(self) -> dict[str, str | Sequence[str]]:
        """{split: its file or files}."""
        return self.files

    def batches(self, split: str) -> Sampler[Any]:
        data = self.splits[split]
        if self.batch_tokens is None or split != "train" or not isinstance(data, ExampleSplit):
            return super().batches(split)
        return BudgetBatches([max(len(example.inputs), len(example.targets)) for example in data.examples], self.batch_tokens, True, self.seed)

    def collate(self, examples: Sequence[Example]) -> Batch:
        return pad_pairs(examples)

    def references(self, split: str) -> list[str] | None:
        return self.texts.get(split)

    def read_out(self, ids: Iterable[int]) -> str:
        return self.sides[1].decode(ids)

    def records(self) -> dict[str, str]:
        source, target = self.sides
        plain = {"source": source.to_plain(), "target": target.to_plain()}
        return {**super().records(), PIECES: json.dumps(plain, ensure_ascii=False) + "\n"}

    def restore(self, directory: Path) -> None:
        plain = json.loads((directory / PIECES).read_text(encoding="utf-8"))
        self.source, self.target = Side.from_plain(plain["source"]), Side.from_plain(plain["target"])

    def read_new(self, file: Path) -> list[Example | None]:
        """A line of the file is a source; one without a piece, a blank one, is None."""
        rows = [self.sides[0].encode(line) for line in read_lines(file, self.encoding)]
        return [Example(row, torch.zeros(0, dtype=torch.long)) if len(row) else None for row in rows]

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        """A line for each line that was read."""
        join = self.sides[1].pieces.join
        lines = ["" if answer is None else join(answer["symbols"]) for answer in answers]
        output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        source, target = self.sides
        split = self.splits["test"]
        assert isinstance(split, ExampleSplit)
        batch = pad_pairs(split.examples[:5])
        rows = zip(batch.inputs.tolist(), predict(batch).tolist(), strict=True)
        return [f"{source.decode(read)} -> {target.decode(written)}" for read, written in rows]


def read_pairs(files: str | Sequence[str], encoding: str = "utf-8") -> list[tuple[str, str]]:
    """The pairs of one TSV file, or of two files line by line. Pairs of two blank sides are skipped.

    Raises ValueError naming file and line where one side is blank, has no partner, or a row has one column.
    """
    paths = [Path(file).expanduser() for file in ([files] if isinstance(files, str) else files)]
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
        if bool(left) != bool(right):
            path = paths[-1] if left else paths[0]
            raise ValueError(f"{path}, line {number}: the {'target' if left else 'source'} is blank and its partner is not; expected text on both sides.")
        if left:
            pairs.append((left, right))
    return pairs
