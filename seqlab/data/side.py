"""One side of a pair of texts: how it is cut, and the symbol of each id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqlab.data.pairs import MARKS
from seqlab.data.pieces import SPACE, Pieces

UNKNOWN = len(MARKS)  # the id of what training does not show


class Side:
    """One language: ids 0 to 3 are padding, start, end and unknown. longest: the most steps that a text of training has."""

    def __init__(self, pieces: Pieces, symbols: Sequence[str], longest: int = 0) -> None:
        self.pieces = pieces
        self.symbols = tuple(symbols)
        self.ids = {symbol: index for index, symbol in enumerate(self.symbols)}
        self.longest = longest

    @classmethod
    def learn(cls, texts: Sequence[str], unit: str, num_merges: int = 0, min_count: int = 1) -> Side:
        """The pieces that stand at least min_count times in the training texts, the most frequent first."""
        pieces = Pieces.learn(unit, texts, num_merges)
        counts = Counter(piece for text in texts for piece in pieces.split(text))
        kept = sorted((piece for piece, count in counts.items() if count >= min_count), key=lambda piece: (-counts[piece], piece))
        other = f"{SPACE}<unk>" if unit == "words" else "<unk>"  # what is unknown in a word is a part of it, a word is one by itself
        return cls(pieces, (*MARKS, other, *kept))

    def encode(self, text: str) -> Tensor:
        """text -> ids (T,)."""
        return torch.tensor([self.ids.get(piece, UNKNOWN) for piece in self.pieces.split(text)], dtype=torch.long)

    def missing(self, text: str) -> list[str]:
        """The pieces of a text that are read as unknown, each once."""
        return list(dict.fromkeys(piece for piece in self.pieces.split(text) if piece not in self.ids))

    def decode(self, ids: Iterable[int]) -> str:
        """ids -> text; padding, start and end leave no trace."""
        return self.pieces.join(self.symbols[index] for index in ids if index >= len(MARKS))

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"unit": self.pieces.unit, "merges": self.pieces.merges, "symbols": self.symbols, "longest": self.longest}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Side:
        """What `to_plain` gave."""
        return cls(Pieces(plain["unit"], [tuple(pair) for pair in plain["merges"]]), plain["symbols"], plain["longest"])
