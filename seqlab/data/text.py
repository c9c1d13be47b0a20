"""Text for language models: read, split, given ids. Here as streams, which run on from batch to batch."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from seqlab.data.base import SPLITS, DataSpec, SequenceDataModule
from seqlab.data.splits import Fractions, split_documents, split_points, warn_of_duplicates
from seqlab.data.streams import StreamBatches, TokenStreams
from seqlab.data.text_files import python_documentation, read_documents
from seqlab.data.vocabulary import END, START, Vocabulary, build_vocabulary, check_unit, tokenise


class TextData(SequenceDataModule):
    """Documents from a file, split, and numbered by a vocabulary of the training split. Targets are the inputs one step later.

    path: a text file, one document; None: the documentation of Python. column: of a table (see `read_text_table`), one
    document per row. unit, lowercase, max_vocabulary, min_count: see seqlab.data.vocabulary. fractions: of training,
    validation and test; one document is cut in that order, several are dealt out whole, in an order drawn by split_seed.
    train, val, test: a file for each split, in place of path.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        train: str | Path | None = None,
        val: str | Path | None = None,
        test: str | Path | None = None,
        column: str | None = None,
        encoding: str = "utf-8",
        unit: str = "characters",
        lowercase: bool = False,
        max_vocabulary: int | None = None,
        min_count: int = 1,
        fractions: Fractions = (0.9, 0.05, 0.05),
        split_seed: int = 0,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        given = [name for name, file in (("path", path), ("train", train), ("val", val), ("test", test)) if file is not None]
        if given not in ([], ["path"], list(SPLITS)):
            raise ValueError(f"the text has {' and '.join(given)}; expected data.path=FILE, or data.train=, data.val= and data.test=FILE.")
        self.files = None if train is None or val is None or test is None else {"train": train, "val": val, "test": test}
        if column is not None and not given:
            raise ValueError(f"column is {column!r} but path is missing; expected the table that has it. Give data.path=FILE.")
        self.path, self.column, self.encoding = path, column, encoding
        self.unit, self.lowercase = check_unit(unit), lowercase
        self.max_vocabulary, self.min_count = max_vocabulary, min_count
        self.fractions, self.split_seed = fractions, split_seed
        self.framed = True

    def tokenise(self, text: str) -> list[str]:
        """Text -> symbols of the unit."""
        return tokenise(text, self.unit, self.lowercase)

    @abstractmethod
    def cut(self, document: str) -> list[Any]:
        """A document -> the items that splits are made of, in order."""

    @abstractmethod
    def sequences(self, items: list[Any]) -> list[list[str]]:
        """Items that follow each other -> sequences of symbols."""

    @abstractmethod
    def dataset(self, sequences: list[Tensor]) -> Dataset[Any]:
        """The split that holds these sequences of ids, marks included."""

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        parts = self._read()
        # of one text that is cut, or of streams, the parts are sequences of their own; sentences and documents may come again
        self.duplicates = warn_of_duplicates({split: [tuple(sequence) for sequence in sequences] for split, sequences in parts.items()})
        counts = {split: Counter(symbol for sequence in sequences for symbol in sequence) for split, sequences in parts.items()}
        for split in SPLITS:
            if counts[split].total() < 2:
                total = sum(count.total() for count in counts.values())
                source = self.path or (self.files or {}).get(split) or "the documentation of Python"
                raise ValueError(
                    f"the {split} split of {source} has {counts[split].total()} of {total} {self.unit}; expected at "
                    f"least 2. Give more text, or a larger share of it with data.fractions=[…], now {list(self.fractions)}."
                )
        self.vocabulary = build_vocabulary(
            self.unit,
            counts["train"],
            {*counts["val"], *counts["test"]},
            lowercase=self.lowercase,
            boundaries=self.framed,
            max_size=self.max_vocabulary,
            min_count=self.min_count,
        )
        self.splits = {split: self.dataset([self._encode(self.vocabulary, s) for s in parts[split]]) for split in SPLITS}

    def _read(self) -> dict[str, list[list[str]]]:
        """The sequences of each split."""
        if self.files is not None:
            return {
                split: [sequence for document in read_documents(file, self.column, self.encoding) for sequence in self.sequences(self.cut(document))]
                for split, file in self.files.items()
            }
        documents = python_documentation() if self.path is None else read_documents(self.path, self.column, self.encoding)
        return self._split([self.cut(document) for document in documents])

    def _split(self, documents: Sequence[list[Any]]) -> dict[str, list[list[str]]]:
        if len(documents) == 1:
            return {split: self.sequences(documents[0][part]) for split, part in split_points(len(documents[0]), self.fractions).items()}
        chosen = split_documents([len(items) for items in documents], self.fractions, self.split_seed)
        return {split: [sequence for index in indices for sequence in self.sequences(documents[index])] for split, indices in chosen.items()}

    def _encode(self, vocabulary: Vocabulary, symbols: list[str]) -> Tensor:
        return vocabulary.encode([START, *symbols, END] if self.framed else symbols)

    @property
    def spec(self) -> DataSpec:
        assert self.vocabulary is not None, "setup comes first"
        size = len(self.vocabulary)
        return DataSpec(inputs="tokens", input_size=size, targets="steps", output_size=size)


class Text(TextData):
    """Streams of text for truncated back-propagation through time (see seqlab.data.streams): batch_size streams, read in
    chunks of chunk_length symbols.

    A plain file is one text without marks: its first symbol is never a target. Documents are framed by START and END, and
    the state is reset where one ends. Evaluation reads eval_batch_size streams; each begins without a past, so few are
    more exact and many are faster.
    """

    def __init__(self, *args: Any, chunk_length: int = 100, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if chunk_length < 1:
            raise ValueError(f"chunk_length is {chunk_length}; expected at least 1 symbol.")
        self.chunk_length = chunk_length
        self.framed = self.column is not None or (self.path is None and self.files is None)

    def cut(self, document: str) -> list[str]:
        return self.tokenise(document)

    def sequences(self, items: list[str]) -> list[list[str]]:
        return [items]

    def dataset(self, sequences: list[Tensor]) -> TokenStreams:
        return TokenStreams(sequences)

    def batches(self, split: str) -> StreamBatches:
        data, training = self.splits[split], split == "train"
        assert isinstance(data, TokenStreams)
        return StreamBatches(data.spans, self.batch_size if training else self.eval_batch_size, self.chunk_length, training, self.seed)
