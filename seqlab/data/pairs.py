"""Pairs of sequences of symbols: the ids that every target begins with, and how pairs of unlike length become a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from seqlab.data.base import Batch, Example

PADDING, START, END = 0, 1, 2  # ids; the symbols of a target are numbered from 3 on
MARKS = ("<pad>", "<s>", "</s>")


def pad_pairs(examples: Sequence[Example]) -> Batch:
    """Sources and targets of different length -> one batch, zero past each end; `lengths` are those of the sources."""
    lengths = torch.tensor([len(example.inputs) for example in examples])
    inputs = torch.nn.utils.rnn.pad_sequence([example.inputs for example in examples], batch_first=True)
    targets = torch.nn.utils.rnn.pad_sequence([example.targets for example in examples], batch_first=True)
    return Batch(inputs, targets, None if bool((lengths == lengths[0]).all()) else lengths)
