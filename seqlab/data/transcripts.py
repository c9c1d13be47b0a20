"""What is written in a transcript, as labels for CTC: class 0 is the blank, the symbols follow. Dimension key: U labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from seqlab.data.pieces import SPACE, Pieces

BLANK = "<blank>"  # the name of class 0
UNITS = ("characters", "words")


class Transcripts:
    """Texts as ids 1, 2, … of their characters or words. labels: the name of each id, those of `learn` or of a DataSpec."""

    def __init__(self, unit: str, labels: Sequence[str]) -> None:
        self.pieces = Pieces(unit)
        self.labels = tuple(labels)
        self.ids = {label: index for index, label in enumerate(self.labels)}

    @classmethod
    def learn(cls, unit: str, texts: Iterable[str]) -> Transcripts:
        """The symbols of the training texts, in the order of their characters."""
        pieces = Pieces(unit)
        return cls(unit, (BLANK, *sorted({piece for text in texts for piece in pieces.split(text)})))

    def encode(self, text: str, place: str) -> Tensor:
        """text -> ids (U,). Raises ValueError naming the place for a symbol that is not among the labels, and for a blank text."""
        pieces = self.pieces.split(text)
        missing = [piece for piece in dict.fromkeys(pieces) if piece not in self.ids]
        if missing:
            known = ", ".join(repr(label.removeprefix(SPACE)) for label in self.labels[1:13]) + (", …" if len(self.labels) > 13 else "")
            lacking = ", ".join(repr(piece.removeprefix(SPACE)) for piece in missing[:5])
            raise ValueError(
                f"{place}: the transcript {text[:60]!r} has {lacking}, which no training transcript has; expected {known}. "
                "Repair it, or split the recordings otherwise (data.split_seed)."
            )
        if not pieces:
            raise ValueError(f"{place}: the transcript is blank; expected text. Write it, or leave the recording out.")
        return torch.tensor([self.ids[piece] for piece in pieces], dtype=torch.long)

    def decode(self, ids: Iterable[int]) -> str:
        """ids -> text; the blank leaves no trace."""
        return self.pieces.join(self.labels[index] for index in ids if index)
