"""Texts of one's own in a folder: a file for each class, a text on each line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqlab.data.labelled_text import LabelledItem
from seqlab.data.split_files import SplitFiles
from seqlab.data.splits import Fractions
from seqlab.data.text_classes import TextClasses
from seqlab.data.text_files import read_lines


class TextFolder(TextClasses):
    """The name of a file, without .txt and .gz, is the class of its lines; blank lines are left out and counted.

    path, train, val, test: folders (see SplitFiles); fractions, split_seed: how `path` is split. Hidden files are not read.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        train: str | Path | None = None,
        val: str | Path | None = None,
        test: str | Path | None = None,
        fractions: Fractions = (0.8, 0.1, 0.1),
        split_seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.sources = SplitFiles(path, train, val, test, fractions, split_seed)

    def read_splits(self) -> dict[str, list[LabelledItem]]:
        return self.sources.read(self._read)

    def _read(self, folder: Path) -> list[LabelledItem]:
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder; expected one with a file for each class. Give it with data.path=FOLDER.")
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
        if strange := [file for file in files if not file.is_file()]:
            raise ValueError(f"{strange[0]} is no file; expected {folder} to hold a file for each class and nothing else. Splits are data.train=, data.test=.")
        owners: dict[str, Path] = {}
        for file in files:
            if (other := owners.setdefault(class_name(file), file)) != file:
                raise ValueError(f"{other} and {file} are of one class, {class_name(file)!r}; expected a file for each class. Join or rename them.")
        items = [self.item(text, class_name(file), file, line) for file in files for line, text in enumerate(read_lines(file, self.encoding), 1)]
        return self.not_empty(items, folder)


def class_name(file: Path) -> str:
    """What a file says of its lines: its name without .txt and .gz."""
    return file.name.removesuffix(".gz").removesuffix(".txt")
