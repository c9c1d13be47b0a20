"""Texts of one's own in a table: a column of text and a column of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlab.data.base import Example
from seqlab.data.labelled_text import LabelledItem
from seqlab.data.split_files import SplitFiles
from seqlab.data.splits import Fractions
from seqlab.data.text_classes import TextClasses
from seqlab.data.text_files import TextTable, read_text_table, write_text_table


class TableText(TextClasses):
    """CSV, TSV or JSONL (by its suffix, .gz after it or not) with a row for each text; blank rows and texts are left out and counted.

    path, train, val, test: files (see SplitFiles); fractions, split_seed: how `path` is split. text, label: the names of the
    columns. group: a column, such as the author; all texts of one group are in one split. quotes: see `read_text_table`.
    New input is a table with the column of text; the answer is the same table with the columns `predicted` and `probability`.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        train: str | Path | None = None,
        val: str | Path | None = None,
        test: str | Path | None = None,
        fractions: Fractions = (0.8, 0.1, 0.1),
        split_seed: int = 0,
        text: str = "text",
        label: str = "label",
        group: str | None = None,
        quotes: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.sources = SplitFiles(path, train, val, test, fractions, split_seed)
        self.text, self.label, self.group, self.quotes = text, label, group, quotes
        self.new: TextTable | None = None  # what `read_new` read, for the answers

    def read_splits(self) -> dict[str, list[LabelledItem]]:
        return self.sources.read(self._read, None if self.group is None else lambda item: item.group)

    def _read(self, file: Path) -> list[LabelledItem]:
        table = read_text_table(file, self.encoding, self.quotes)
        for column, key in ((self.text, "data.text"), (self.label, "data.label"), *([(self.group, "data.group")] if self.group else [])):
            table.check_column(column, key)
        items = []
        for row, line in zip(table.rows, table.lines, strict=True):
            if row is None or not row[self.text].strip():
                items.append(self.item("", "", file, line))
                continue
            for column in (self.label, *([self.group] if self.group else [])):
                if not row[column].strip():
                    raise ValueError(f"{file}, line {line}: column {column!r} is blank beside a text; expected a value. Fill it in, or remove the row.")
            items.append(self.item(row[self.text], row[self.label].strip(), file, line, row[self.group].strip() if self.group else None))
        return self.not_empty(items, file)

    def read_new(self, file: Path) -> list[Example | None]:
        self.new = read_text_table(file, self.encoding, self.quotes)
        if self.text not in self.new.columns:
            raise ValueError(
                f"{file} has no column {self.text!r}, but {', '.join(self.new.columns)}; expected the texts in it, as the run was trained on. Rename theirs."
            )
        return [None if row is None else self.new_example(row[self.text]) for row in self.new.rows]

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        assert self.new is not None, "read_new comes first"
        found = [answer or {"label": None, "probability": None} for answer in answers]
        probabilities = [None if answer["probability"] is None else round(answer["probability"], 4) for answer in found]
        write_text_table(self.new, {"predicted": [answer["label"] for answer in found], "probability": probabilities}, output)
