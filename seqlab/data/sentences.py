"""Sentences for word models: one per row, between a start and an end mark."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from seqlab.data.base import Example, ExampleSplit
from seqlab.data.batches import check_budget
from seqlab.data.text import TextData
from seqlab.registry import unknown

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’)\]])\s+|(?<=[。！？])\s*")


class Sentences(TextData):
    """Each sentence of the text is a sequence by itself: START w₁ … wₙ is read, w₁ … wₙ END is to be predicted.

    sentences "punctuation": a sentence ends at a full stop, question or exclamation mark before white space, or at an
    empty line (an abbreviation ends one too: the rule is simple). "lines": each line that is not blank is a sentence.
    batch_tokens: batches of so many symbols, padding included, of sentences of about one length, in place of batch_size.
    """

    def __init__(self, *args: Any, sentences: str = "punctuation", batch_tokens: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batch_tokens = check_budget(batch_tokens)
        if sentences not in ("punctuation", "lines"):
            raise ValueError(unknown("way to cut sentences", sentences, ["punctuation", "lines"]))
        self.cut_sentences = split_lines if sentences == "lines" else split_sentences

    def cut(self, document: str) -> list[list[str]]:
        return [self.tokenise(sentence) for sentence in self.cut_sentences(document)]

    def sequences(self, items: list[list[str]]) -> list[list[str]]:
        return items

    def dataset(self, sequences: list[Tensor]) -> ExampleSplit:
        return ExampleSplit([Example(ids[:-1], ids[1:]) for ids in sequences])


def split_sentences(text: str) -> list[str]:
    """Text -> its sentences, each on one line."""
    parts = (part for paragraph in _PARAGRAPH.split(text) for part in _SENTENCE.split(paragraph))
    return [" ".join(part.split()) for part in parts if part.strip()]


def split_lines(text: str) -> list[str]:
    """Text -> its lines that are not blank."""
    return [line.strip() for line in text.split("\n") if line.strip()]
