"""Words with their spelling: ids of the word and of its characters in one tensor. Dimension key: B batch, T time, L characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqlab.data.base import Batch, Example, pad_batch
from seqlab.data.vocabulary import UNKNOWN, Vocabulary

CHARACTERS = "characters.json"  # the Vocabulary of the characters in a run directory
PADDING = "<pad>"  # id 0, past the end of a word


def build_characters(words: Counter[str]) -> Vocabulary:
    """The characters of the training words, most frequent first, after PADDING and UNKNOWN.

    One that comes only once becomes UNKNOWN, which thus is trained too, unless all do.
    """
    counts = Counter[str]()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    often = {character for character, count in counts.items() if count > 1} or set(counts)
    return Vocabulary("characters", (PADDING, UNKNOWN, *sorted(often, key=lambda character: (-counts[character], character))))


def spell(ids: Tensor, words: Sequence[str], characters: Vocabulary) -> Tensor:
    """ids (T,) of the words -> (T, 1 + L), each followed by the ids of its characters and zeros; L is the longest word's length."""
    out = torch.zeros(len(words), 1 + max((len(word) for word in words), default=0), dtype=torch.long)
    out[:, 0] = ids
    for row, word in enumerate(words):
        out[row, 1 : 1 + len(word)] = characters.encode(word)
    return out


def pad_spelt(examples: Sequence[Example]) -> Batch:
    """`pad_batch` for inputs (T, 1 + L) whose L differ: the longest word of the batch gives L."""
    width = max(example.inputs.shape[1] for example in examples)
    return pad_batch([replace(example, inputs=pad(example.inputs, (0, width - example.inputs.shape[1]))) for example in examples])
