"""Embedded tokens. Dimension key: B batch, T time, V vocabulary, E embedding_size."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.frontends.base import Frontend, check_probability
from seqlab.frontends.vectors import read_vectors

log = logging.getLogger("seqlab")


class Embedding(nn.Embedding):
    """A learned row for each of `num_rows` symbols, uniform in ±uniform at the start, or from a file.

    vectors: a GloVe or fastText text file (see read_vectors); symbols that it has not keep their random row.
    freeze_vectors: no row is trained, those without a vector neither.
    embedding_dropout: the share of symbols that are taken out of a training batch, wherever they stand in it; the rows of
    the others grow by 1 / (1 − share). Source: Y. Gal and Z. Ghahramani, 2016, section 4.2; S. Merity et al., 2018, 4.3.
    """

    def __init__(
        self,
        num_rows: int,
        embedding_size: int,
        uniform: float = 0.1,
        vectors: str | Path | None = None,
        freeze_vectors: bool = False,
        embedding_dropout: float = 0.0,
    ) -> None:
        if embedding_size < 1:
            raise ValueError(f"embedding_size is {embedding_size}; expected at least 1.")
        if uniform < 0:
            raise ValueError(f"frontend uniform is {uniform}; expected the bound of ±uniform, at least 0.")
        if freeze_vectors and vectors is None:
            raise ValueError("freeze_vectors is true but vectors is missing; expected the file of the vectors to keep. Give frontend.vectors=FILE.")
        super().__init__(num_rows, embedding_size)
        self.vectors = None if vectors is None else Path(vectors).expanduser()
        self.embedding_dropout = check_probability("embedding_dropout", embedding_dropout)
        nn.init.uniform_(self.weight, -uniform, uniform)
        self.weight.requires_grad_(not freeze_vectors)

    def look_up(self, data: Any) -> None:
        """Take over the vectors of the symbols in the data's vocabulary, and say how many there were."""
        if self.vectors is None:
            return
        if data.vocabulary is None:
            raise ValueError(f"frontend.vectors is {self.vectors}, but the data has no vocabulary to look up. Leave it out.")
        rows, vectors = read_vectors(self.vectors, data.vocabulary.ids, self.embedding_dim)
        with torch.no_grad():
            self.weight[rows] = vectors.to(self.weight)
        log.info(f"{self.vectors} has vectors for {len(rows)} of the {self.num_embeddings} symbols of the vocabulary ({len(rows) / self.num_embeddings:.1%}).")

    def forward(self, input: Tensor) -> Tensor:
        """ids (…) -> (…, E)."""
        weight = self.weight
        if self.training and self.embedding_dropout:
            kept = torch.full((len(weight), 1), 1 - self.embedding_dropout, device=weight.device, dtype=weight.dtype).bernoulli()
            weight = weight * kept / (1 - self.embedding_dropout)
        try:
            return nn.functional.embedding(input, weight)
        except IndexError as error:  # looked into only now: a check before every call would wait for the device
            wrong = input[(input < 0) | (input >= self.num_embeddings)]
            raise ValueError(f"inputs hold the token {int(wrong[0])}; expected ids in 0..{self.num_embeddings - 1}, the vocabulary.") from error


class Tokens(Frontend):
    """Token ids (B, T) -> their vectors (B, T, E), a row of an Embedding for each of the `input_size` tokens, with dropout.

    Rows start uniform in ±uniform. With the default 0.1, that of the LSTM language models (W. Zaremba et al., 2014), an
    untrained model is close to indifferent between its outputs.
    locked_dropout: one mask of `dropout` for a whole row instead of one for every step (Y. Gal and Z. Ghahramani, 2016).
    """

    reads = "tokens"

    def __init__(
        self,
        input_size: int,
        embedding_size: int = 64,
        dropout: float = 0.0,
        locked_dropout: bool = False,
        embedding_dropout: float = 0.0,
        uniform: float = 0.1,
        vectors: str | Path | None = None,
        freeze_vectors: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = embedding_size
        self.embedding = Embedding(input_size, embedding_size, uniform, vectors, freeze_vectors, embedding_dropout)
        self.dropout = check_probability("dropout", dropout)
        self.locked_dropout = locked_dropout

    def prepare(self, data: Any) -> None:
        self.embedding.look_up(data)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        vectors = self.embedding(inputs)
        if not self.locked_dropout:
            return nn.functional.dropout(vectors, self.dropout, self.training)
        return vectors * nn.functional.dropout(torch.ones_like(vectors[:, :1]), self.dropout, self.training)
