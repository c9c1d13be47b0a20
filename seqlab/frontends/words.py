"""Words by their own vector and by their spelling. Dimension key: B batch, T time, L characters of a word, N words, E embedding_size, S spelling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells.base import make_cell
from seqlab.executors import lengths_to_mask
from seqlab.frontends.base import Frontend, check_probability
from seqlab.frontends.tokens import Embedding
from seqlab.layers import Bidirectional, Layer
from seqlab.registry import unknown

SPELLINGS = ("cnn", "rnn", "none")


class SpellingCNN(nn.Module):
    """max over the word's characters of tanh(b + Σ_k W_k c_{l + k − ⌊(W − 1)/2⌋}), for windows of each width, side by side.

    Characters before the first and after the last are zero. Source: Y. Kim et al., 2016, "Character-aware neural language
    models", section 2.2; zeros around the word as in X. Ma and E. Hovy, 2016, section 2.1.
    """

    def __init__(self, input_size: int, spelling_size: int, widths: Sequence[int]) -> None:
        super().__init__()
        widths = list(widths)
        if not widths or min(widths) < 1:
            raise ValueError(f"frontend widths are {widths}; expected at least one width, each at least 1 character.")
        self.windows = nn.ModuleList(nn.Conv1d(input_size, spelling_size, width) for width in widths)
        self.output_size = spelling_size * len(widths)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """characters (N, L, C), lengths (N,) at least 1 -> (N, S)."""
        mask = lengths_to_mask(lengths, characters.shape[1])
        x = torch.where(mask[..., None], characters, 0.0).transpose(1, 2)
        found = []
        for window in self.windows:
            assert isinstance(window, nn.Conv1d)
            before = (window.kernel_size[0] - 1) // 2
            y = torch.tanh(window(nn.functional.pad(x, (before, window.kernel_size[0] - 1 - before))))
            found.append(torch.where(mask[:, None], y, -torch.inf).amax(2))
        return torch.cat(found, 1)


class SpellingRNN(nn.Module):
    """What two layers of one cell give at the end of the word, one having read it forward, the other backward, side by side.

    Source: G. Lample et al., 2016, "Neural architectures for named entity recognition", section 4.1.
    """

    def __init__(self, input_size: int, spelling_size: int, cell: str) -> None:
        super().__init__()
        if spelling_size < 2 or spelling_size % 2:
            raise ValueError(f"spelling_size is {spelling_size} with spelling=rnn; expected an even number, half of it for each direction.")
        ahead, back = (Layer(make_cell(cell, input_size, spelling_size // 2)) for _ in range(2))
        self.directions = Bidirectional(ahead, back)
        self.width = ahead.output_size
        self.output_size = self.directions.output_size

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """characters (N, L, C), lengths (N,) at least 1 -> (N, S)."""
        y, _ = self.directions(characters, lengths)
        last = y[torch.arange(len(y), device=y.device), lengths - 1, : self.width]
        return torch.cat([last, y[:, 0, self.width :]], 1)


class Words(Frontend):
    """(B, T, 1 + L) ids of a word and of its characters -> (B, T, E + S), its vector beside one made of its spelling.

    spelling: "cnn", convolutions of `widths` with spelling_size filters each and the maximum over time; "rnn", any cell by its
    name, forward and backward, spelling_size in both together; "none", the word alone. A word without characters, such as
    the mark of an end, is spelt as zeros. spelling_cell: of "rnn" alone. For vectors, freeze_vectors and embedding_dropout
    see Embedding.
    """

    reads = "words"

    def __init__(
        self,
        input_size: int,
        num_characters: int,
        embedding_size: int = 100,
        spelling: str = "cnn",
        spelling_size: int = 30,
        character_size: int = 30,
        widths: Sequence[int] = (3,),
        spelling_cell: str = "lstm",
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        uniform: float = 0.1,
        vectors: str | Path | None = None,
        freeze_vectors: bool = False,
    ) -> None:
        """num_characters: rows of the table of characters, the padding's row 0 included. dropout: of everything the encoder reads."""
        super().__init__()
        if spelling not in SPELLINGS:
            raise ValueError(unknown("spelling", spelling, list(SPELLINGS)))
        for name, value in (("spelling_size", spelling_size), ("character_size", character_size)):
            if value < 1:
                raise ValueError(f"frontend {name} is {value}; expected at least 1.")
        self.embedding = Embedding(input_size, embedding_size, uniform, vectors, freeze_vectors, embedding_dropout)
        self.dropout = nn.Dropout(check_probability("dropout", dropout))
        self.characters = None if spelling == "none" else nn.Embedding(num_characters, character_size)
        self.spelling: SpellingCNN | SpellingRNN | None = None
        if self.characters is not None:
            nn.init.uniform_(self.characters.weight, -((3 / character_size) ** 0.5), (3 / character_size) ** 0.5)  # Ma and Hovy, 2016, section 3.1
            self.spelling = (
                SpellingRNN(character_size, spelling_size, spelling_cell) if spelling == "rnn" else SpellingCNN(character_size, spelling_size, widths)
            )
        self.output_size = embedding_size + (0 if self.spelling is None else self.spelling.output_size)

    def prepare(self, data: Any) -> None:
        self.embedding.look_up(data)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        if inputs.dim() != 3:
            raise ValueError(f"inputs have shape {tuple(inputs.shape)}; expected (batch, time, 1 + characters), the ids of words and of their spelling.")
        parts = [self.embedding(inputs[..., 0])]
        if self.spelling is not None:
            parts.append(self._spelt(inputs[..., 1:], lengths))
        return self.dropout(torch.cat(parts, -1))

    def _spelt(self, characters: Tensor, lengths: Tensor | None) -> Tensor:
        """characters (B, T, L) -> (B, T, S), zeros in the padding: only words that are there are read."""
        assert self.characters is not None
        assert self.spelling is not None
        sizes = (characters != 0).sum(-1)
        there = sizes > 0
        if lengths is not None:
            there &= lengths_to_mask(lengths, sizes.shape[1])
        out = self.characters.weight.new_zeros(*sizes.shape, self.spelling.output_size)
        if not there.any():
            return out
        sizes = sizes[there]
        spelt = self.spelling(self.characters(characters[there][:, : int(sizes.max())]), sizes)
        return out.masked_scatter(there[..., None], spelt.to(out.dtype))
