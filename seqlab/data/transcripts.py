"""What is written in a transcript, as labels for CTC or as symbols for a decoder. Dimension key: U labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from seqlab.data.pairs import END, MARKS
from seqlab.data.pieces import SPACE, Pieces
from seqlab.registry import unknown

BLANK = "<blank>"  # the name of class 0 where transcripts are aligned
UNITS = ("characters", "words")
BEGIN = {"transcript": (BLANK,), "symbols": MARKS}  # of a DataSpec's targets: the names of the ids before those of the text


class Transcripts:
    """Texts as ids of their characters or words. labels: the name of each id, those of `learn` or of a DataSpec.

    targets: "transcript", for CTC: id 0 is the blank; or "symbols", for a decoder: padding, start and end are ids 0 to 2, and
    every text ends with the end.
    """

    def __init__(self, unit: str, labels: Sequence[str], targets: str = "transcript") -> None:
        self.targets = check_kind(targets)
        self.closing = (END,) if targets == "symbols" else ()  # ids after those of every text
        self.pieces = Pieces(unit)
        self.labels = tuple(labels)
        self.ids = {label: index for index, label in enumerate(self.labels)}

    @classmethod
    def learn(cls, unit: str, texts: Iterable[str], targets: str = "transcript") -> Transcripts:
        """The symbols of the training texts, in the order of their characters."""
        pieces = Pieces(unit)
        return cls(unit, (*BEGIN[check_kind(targets)], *sorted({piece for text in texts for piece in pieces.split(text)})), targets)

    def encode(self, text: str, place: str) -> Tensor:
        """text -> ids (U,). Raises ValueError naming the place for a symbol that is not among the labels, and for a blank text."""
        pieces, first = self.pieces.split(text), len(BEGIN[self.targets])
        missing = [piece for piece in dict.fromkeys(pieces) if piece not in self.ids]
        if missing:
            known = ", ".join(repr(label.removeprefix(SPACE)) for label in self.labels[first : first + 12])
            known += ", …" if len(self.labels) > first + 12 else ""
            lacking = ", ".join(repr(piece.removeprefix(SPACE)) for piece in missing[:5])
            raise ValueError(
                f"{place}: the transcript {text[:60]!r} has {lacking}, which no training transcript has; expected {known}. "
                "Repair it, or split the recordings otherwise (data.split_seed)."
            )
        if not pieces:
            raise ValueError(f"{place}: the transcript is blank; expected text. Write it, or leave the recording out.")
        return torch.tensor([*(self.ids[piece] for piece in pieces), *self.closing], dtype=torch.long)

    def decode(self, ids: Iterable[int]) -> str:
        """ids -> text; the blank and the marks leave no trace."""
        return self.pieces.join(self.labels[index] for index in ids if index >= len(BEGIN[self.targets]))


def check_kind(targets: str) -> str:
    """The kind of targets. Raises ValueError for one that BEGIN does not have."""
    if targets not in BEGIN:
        raise ValueError(unknown("kind of targets", targets, list(BEGIN), "data.targets=transcript is for task=ctc, data.targets=symbols for task=seq2seq."))
    return targets
