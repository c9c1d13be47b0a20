"""Sentences of one's own with a tag for every token, in columns as the CoNLL shared tasks have them."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from seqlab.data.base import Batch, Example
from seqlab.data.labelled_text import LabelledItem, LabelledText
from seqlab.data.split_files import SplitFiles
from seqlab.data.splits import Fractions, group_by_name
from seqlab.data.text_files import read_lines, table_kind
from seqlab.data.token_lines import NAMED_SEPARATORS, SCHEMES, TokenLine, are_spans, check_columns, check_width, column, is_part, read_sentences, tags_to_bio
from seqlab.pictures.tags import draw_tags
from seqlab.registry import unknown

SHOWN = 2  # sentences at the end of a run
log = logging.getLogger("seqlab")


class TaggedText(LabelledText):
    """Sentences with a tag for each token, a token on each line and a line of spaces and tabs, or nothing, after each.

    token_column, tag_column: counted from 0, below 0 from the end. separator: tab, space, comma, semicolon or any string; None:
    spaces and tabs. conllu: # begins comments, and ids n-m and n.m are no tokens. scheme: of tags that mark spans, "bio" or "iob1",
    which becomes BIO; "none": tags are taken as they are; "auto": bio where B-TYPE or I-TYPE stand beside O or alone, else none.
    max_length: longer sentences are left out of training, and said; in other splits and new input nothing is cut.
    New input has the tokens in the same column; the answer is the same lines with a further column, the tag.
    """

    targets = "steps"

    def __init__(
        self,
        token_column: int = 0,
        tag_column: int = -1,
        separator: str | None = None,
        conllu: bool = False,
        scheme: str = "auto",
        **options: Any,
    ) -> None:
        super().__init__(unit="tokens", **options)
        if scheme not in SCHEMES:
            raise ValueError(unknown("scheme", scheme, list(SCHEMES)))
        if separator == "":
            raise ValueError("separator is an empty string; expected tab, space, comma, semicolon, another string, or null for spaces and tabs.")
        self.token_column, self.tag_column, self.separator = token_column, tag_column, separator
        self.conllu, self.scheme = conllu, scheme
        self.new: tuple[Path, list[list[TokenLine]]] | None = None  # what `read_new` read: the file and its sentences

    @abstractmethod
    def read_files(self) -> dict[str, list[LabelledItem]]:
        """The sentences of each split, tags as they stand in the files."""

    def read_splits(self) -> dict[str, list[LabelledItem]]:
        parts = self.read_files()
        scheme = self.scheme
        if scheme == "auto":
            scheme = "bio" if are_spans({tag for items in parts.values() for item in items for tag in item.labels}) else "none"
        if scheme == "none":
            return parts
        return {
            split: [replace(item, labels=tuple(tags_to_bio(list(item.labels), list(item.lines), scheme, item.file))) for item in items]
            for split, items in parts.items()
        }

    def read_file(self, file: Path, encoding: str, group: Hashable = None) -> list[LabelledItem]:
        """The sentences of a file."""
        items = []
        sentences = read_sentences(file, encoding, self.separator, self.conllu)
        check_columns(sentences, self.token_column, self.tag_column, file)
        for rows in sentences:
            words = tuple(column(row, self.token_column, "token", file) for row in rows)
            tags = tuple(column(row, self.tag_column, "tag", file) for row in rows)
            items.append(LabelledItem(words, tags, file, tuple(row.line for row in rows), group))
        return items

    def finish(self, items: list[LabelledItem], split: str) -> list[LabelledItem]:
        if self.max_length is None or split != "train":
            return items
        kept = [item for item in items if len(item.words) <= self.max_length]
        if len(kept) < len(items):
            log.warning("%d of %d training sentences are longer than max_length=%d; they are left out.", len(items) - len(kept), len(items), self.max_length)
        return kept

    def read_new(self, file: Path) -> list[Example | None]:
        if table_kind(file):
            raise ValueError(f"{file} is a table of texts by its name; expected lines of tokens, as the run was trained on. Convert it.")
        sentences = read_sentences(file, self.encoding, self.separator, self.conllu)
        check_width(sentences, file)  # lines of running text differ in it
        self.new = file, sentences
        return [self.example([column(row, self.token_column, "token", file) for row in rows]) for rows in sentences]

    def write_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], output: Path) -> None:
        assert self.new is not None, "read_new comes first"
        file, sentences = self.new
        tags = {row.line: tag for found, answer in zip(sentences, answers, strict=True) if answer for row, tag in zip(found, answer["tags"], strict=True)}
        written = []
        for number, line in enumerate(read_lines(file, self.encoding), 1):
            mark = "\t" if self.separator is None and "\t" in line else NAMED_SEPARATORS.get(self.separator or "space", self.separator)
            if number in tags:
                line = f"{line}{mark}{tags[number]}"
            elif is_part(line, self.conllu):
                line = f"{line}{mark}_"  # so that all rows keep one number of columns
            written.append(f"{line}\n")
        output.write_text("".join(written), encoding="utf-8")

    def draw_answers(self, rows: Sequence[Example | None], answers: Sequence[dict[str, Any] | None], picture: Path) -> bool:
        """The first sentences with their tags."""
        assert self.new is not None, "read_new comes first"
        file, sentences = self.new
        tagged = [
            ([column(row, self.token_column, "token", file) for row in found], answer["tags"])
            for found, answer in zip(sentences, answers, strict=True)
            if answer
        ]
        draw_tags(picture, tagged)
        return True

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        shown = sorted(self.test_items, key=lambda item: abs(len(item.words) - 10))[:SHOWN]
        answers = predict(self.collate([self.example(item.words, item.labels) for item in shown])).tolist() if shown else []
        return [
            " ".join(f"{word}/{self.labels[tag]}" for word, tag in zip(item.words, answer, strict=False))  # an answer goes on into the padding
            for item, answer in zip(shown, answers, strict=True)
        ]


class Conll(TaggedText):
    """Files of one's own. path, train, val, test: a file, or a folder whose files are read in the order of their names (see
    SplitFiles); fractions, split_seed: how `path` is split. group: a regular expression on the names of the files; sentences
    of files in which it finds the same are in one split.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        train: str | Path | None = None,
        val: str | Path | None = None,
        test: str | Path | None = None,
        fractions: Fractions = (0.8, 0.1, 0.1),
        split_seed: int = 0,
        group: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.sources = SplitFiles(path, train, val, test, fractions, split_seed)
        self.group = group

    def read_files(self) -> dict[str, list[LabelledItem]]:
        return self.sources.read(self._read, None if self.group is None else lambda item: item.group)

    def _read(self, source: Path) -> list[LabelledItem]:
        files = sorted(file for file in source.iterdir() if file.is_file() and not file.name.startswith(".")) if source.is_dir() else [source]
        groups = [None] * len(files) if self.group is None else group_by_name(files, self.group)
        return [item for file, group in zip(files, groups, strict=True) for item in self.read_file(file, self.encoding, group)]
