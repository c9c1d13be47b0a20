"""One class for each text: what the data sets of classified text share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.data.base import Batch, Example
from seqlab.data.labelled_text import LabelledItem, LabelledText
from seqlab.data.text_files import read_lines, table_kind
from seqlab.data.vocabulary import tokenise

SHOWN = 3  # texts at the end of a run
WIDTH = 100  # of each, in characters
log = logging.getLogger("seqlab")


class TextClasses(LabelledText):
    """Texts, each of one class, without the white space around them. A text longer than max_length symbols is cut there, when it is new input too.

    New input is a plain file with one text on each line; the answer to each is a line with its label and the label's
    probability, parted by a tab.
    """

    targets = "sequence"

    def item(self, text: str, label: str, file: Path, line: int, group: str | None = None) -> LabelledItem:
        """A text as the splits hold it."""
        return LabelledItem(tuple(tokenise(text.strip(), self.unit)), (label,), file, (line,), group)

    def not_empty(self, items: list[LabelledItem], source: Path) -> list[LabelledItem]:
        """The items that hold a symbol; how many do not is said in the log. Raises ValueError when none does."""
        kept = [item for item in items if item.words]
        if not kept:
            raise ValueError(f"{source} holds no text, in {len(items)} rows; expected texts with their classes. Check the file.")
        if len(kept) < len(items):
            first = next(item for item in items if not item.words)
            log.warning("%d of %d texts of %s are empty, the first in %s; they are left out.", len(items) - len(kept), len(items), source, first.place)
        return kept

    def finish(self, items: list[LabelledItem], split: str) -> list[LabelledItem]:
        return items if self.max_length is None else [replace(item, words=item.words[: self.max_length]) for item in items]

    def new_example(self, text: str) -> Example | None:
        """A text of the new input, None when it is blank."""
        words = tokenise(text.strip(), self.unit)[: self.max_length]
        return self.example(words) if words else None

    def read_new(self, file: Path) -> list[Example | None]:
        if table_kind(file) or file.suffix in (".conll", ".conllu"):
            raise ValueError(
                f"{file} is a table by its name; expected a plain file with one text on each line, as the run was trained on. Give its texts alone."
            )
        return [self.new_example(line) for line in read_lines(file, self.encoding)]

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        lines = ("" if answer is None else f"{answer['label']}\t{answer['probability']:.4f}" for answer in answers)
        output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        shown = [self.test_items[int(index)] for index in torch.linspace(0, len(self.test_items) - 1, min(SHOWN, len(self.test_items)))]
        answers = predict(self.collate([self.example(item.words, item.labels) for item in shown])).tolist() if shown else []
        lines = []
        for item, answer in zip(shown, answers, strict=True):
            verdict = "right" if self.labels[answer] == item.labels[0] else f"wrong: {item.labels[0]}"
            text = ("" if self.unit == "characters" else " ").join(item.words)
            lines.append(f"{text[:WIDTH]}{'…' if len(text) > WIDTH else ''} → {self.labels[answer]} ({verdict})")
        return lines
