"""Text with labels, one for each text or one for each word: what both share. Dimension key: T words or characters, L characters of a word."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from seqlab.data.base import SPEC, SPLITS, Batch, DataSpec, Example, ExampleSplit, SequenceDataModule
from seqlab.data.spelling import CHARACTERS, build_characters, pad_spelt, spell
from seqlab.data.splits import warn_of_duplicates
from seqlab.data.vocabulary import VOCABULARY, Vocabulary, build_vocabulary, check_unit
from seqlab.registry import unknown

log = logging.getLogger("seqlab")


@dataclass(frozen=True)
class LabelledItem:
    """The symbols of a text, its labels, one or as many as symbols, and the file and the lines they stand in."""

    words: tuple[str, ...]
    labels: tuple[str, ...]
    file: Path
    lines: tuple[int, ...]
    group: Hashable = None

    @property
    def place(self) -> str:
        """Where it begins, for an error."""
        return f"{self.file}, line {self.lines[0]}"


class LabelledText(SequenceDataModule):
    """Texts with labels; the vocabulary and the labels are those of the training split.

    encoding: of the files. lowercase: of the words; their spelling keeps its capitals. max_vocabulary: the most frequent
    words, marks included; min_count: how often a word comes in training at least; others become <unk>. max_length: see the
    subclass. spelling: inputs (B, T, 1 + L), the words with their characters, in place of (B, T).
    unknown_labels: what a label that training does not show is in the other splits: "error", or "skip", which leaves such a
    text out and says how many. batch_tokens: batches of so many steps, padding included, of texts of about one length, in
    place of batch_size texts.
    """

    targets: ClassVar[str]  # of the DataSpec: "sequence" or "steps"

    def __init__(
        self,
        encoding: str = "utf-8",
        unit: str = "words",
        lowercase: bool = False,
        max_vocabulary: int | None = None,
        min_count: int = 1,
        max_length: int | None = None,
        spelling: bool = False,
        unknown_labels: str = "error",
        batch_size: int = 32,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed, batch_tokens)
        if unknown_labels not in ("error", "skip"):
            raise ValueError(unknown("way to treat unknown_labels", unknown_labels, ["error", "skip"]))
        if max_length is not None and max_length < 1:
            raise ValueError(f"max_length is {max_length}; expected at least 1.")
        if spelling and unit == "characters":
            raise ValueError("spelling is true but unit is characters, which have no spelling; expected data.unit=words or data.unit=tokens.")
        self.encoding, self.unit, self.lowercase = encoding, check_unit(unit), lowercase
        self.max_vocabulary, self.min_count, self.max_length = max_vocabulary, min_count, max_length
        self.spelling, self.unknown_labels = spelling, unknown_labels
        self.labels: tuple[str, ...] = ()
        self.numbers: dict[str, int] = {}  # of the labels
        self.characters: Vocabulary | None = None
        self.sizes: dict[str, int] = {}
        self.test_items: list[LabelledItem] = []  # as they were read, to be shown

    @abstractmethod
    def read_splits(self) -> dict[str, list[LabelledItem]]:
        """The items of each split, in the order of their files."""

    def finish(self, items: list[LabelledItem], split: str) -> list[LabelledItem]:
        """What is done to the items of a split before anything is counted, such as cutting long ones; nothing by default."""
        return items

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        parts = {split: self.finish(items, split) for split, items in self.read_splits().items()}
        self._name(order_labels({label for item in parts["train"] for label in item.labels}))
        if len(self.labels) < 2:
            source = f" from {parts['train'][0].file}" if parts["train"] else ""
            raise ValueError(
                f"the training split has {len(parts['train'])} texts{source} and the labels {list(self.labels)}; expected 2 labels or more. Give other texts."
            )
        parts = {split: items if split == "train" else self._known(items, split) for split, items in parts.items()}
        self.duplicates = warn_of_duplicates({split: [tuple(map(self.fold, item.words)) for item in items] for split, items in parts.items()})
        self.sizes = {split: len(parts[split]) for split in SPLITS}
        self.test_items = parts["test"]
        counts = Counter(word for item in parts["train"] for word in item.words)
        folded = Counter[str]()
        for word, count in counts.items():
            folded[self.fold(word)] += count
        self.vocabulary = build_vocabulary(self.unit, folded, lowercase=self.lowercase, max_size=self.max_vocabulary, min_count=self.min_count, open_ended=True)
        self.characters = build_characters(counts) if self.spelling else None
        self.splits = {split: ExampleSplit([self.example(item.words, item.labels) for item in parts[split]]) for split in SPLITS}

    def _name(self, labels: tuple[str, ...]) -> None:
        self.labels, self.numbers = labels, {label: number for number, label in enumerate(labels)}

    def _known(self, items: list[LabelledItem], split: str) -> list[LabelledItem]:
        """The items whose labels training shows. Raises ValueError for others, unless they are to be left out."""
        labels, kept = set(self.labels), []
        for item in items:
            new = [(label, line) for label, line in zip(item.labels, item.lines, strict=True) if label not in labels]
            if not new:
                kept.append(item)
            elif self.unknown_labels == "error":
                label, line = new[0]
                raise ValueError(
                    f"{item.file}, line {line}: the label {label!r} is in the {split} split and nowhere in training; expected one of {', '.join(self.labels)}. "
                    "Train on some of it, split otherwise, or leave such texts out with data.unknown_labels=skip."
                )
        if len(kept) < len(items):
            log.warning(
                "%d of %d texts of the %s split have a label that training does not show; they are left out.", len(items) - len(kept), len(items), split
            )
        return kept

    def fold(self, word: str) -> str:
        """A word as the vocabulary has it."""
        return word.lower() if self.lowercase else word

    def example(self, words: Sequence[str], labels: Sequence[str] | None = None) -> Example:
        """Words and their labels -> ids. Without labels the targets are 0."""
        assert self.vocabulary is not None, "setup or restore comes first"
        inputs = self.vocabulary.encode(map(self.fold, words))
        if self.characters is not None:
            inputs = spell(inputs, words, self.characters)
        numbers = [0] * (len(words) if self.targets == "steps" else 1) if labels is None else [self.numbers[label] for label in labels]
        return Example(inputs, torch.tensor(numbers if self.targets == "steps" else numbers[0]))

    def collate(self, examples: Any) -> Batch:
        return pad_spelt(examples) if self.spelling else super().collate(examples)

    @property
    def spec(self) -> DataSpec:
        assert self.vocabulary is not None, "setup or restore comes first"
        inputs = "tokens" if self.characters is None else "words"
        characters = 0 if self.characters is None else len(self.characters)
        return DataSpec(inputs, len(self.vocabulary), self.targets, len(self.labels), self.labels, num_characters=characters)

    def records(self) -> dict[str, str]:
        return {**super().records(), **({} if self.characters is None else {CHARACTERS: self.characters.to_json()})}

    def restore(self, directory: Path) -> None:
        spec = read_record(directory / SPEC, DataSpec.from_json)
        wanted = "words" if self.spelling else "tokens"
        if (spec.inputs, spec.targets) != (wanted, self.targets) or not spec.labels:
            raise ValueError(
                f"run directory {directory} was trained on inputs {spec.inputs!r} and targets {spec.targets!r}; {type(self).__name__} gives {wanted!r} and "
                f"{self.targets!r}. Use the data set that the run was trained on."
            )
        self._name(spec.labels)
        self.vocabulary = read_record(directory / VOCABULARY, Vocabulary.from_json)
        self.characters = read_record(directory / CHARACTERS, Vocabulary.from_json) if self.spelling else None
        sizes = {VOCABULARY: (self.spec.input_size, spec.input_size), CHARACTERS: (self.spec.num_characters, spec.num_characters)}
        for file, (size, expected) in sizes.items():
            if size != expected:
                raise ValueError(f"{directory / file} holds {size} symbols; expected {expected}, as {SPEC} beside it says. It is of another run: restore it.")


def read_record(path: Path, read: Callable[[str], Any]) -> Any:
    """What `read` makes of a file of a run directory. Raises ValueError when it is not there or is not what a run writes."""
    try:
        return read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"run directory {path.parent} has no {path.name} ({error.strerror}); expected what training wrote there. Train it again.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} cannot be read ({error}); expected what training wrote there. Train it again.") from error


def order_labels(labels: set[str]) -> tuple[str, ...]:
    """Labels in the order of their characters, whole numbers by their size."""
    return tuple(sorted(labels, key=lambda label: (int(label), label)) if all(label.isdecimal() for label in labels) else sorted(labels))
