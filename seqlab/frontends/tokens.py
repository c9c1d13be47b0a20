"""Embedded tokens. Dimension key: B batch, T time, V vocabulary, E embedding_size."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.frontends.base import Frontend


class Tokens(Frontend):
    """Token ids (B, T) -> their vectors (B, T, E), a learned row for each of the `input_size` tokens, with dropout.

    Rows start uniform in ±uniform. With the default 0.1, that of the LSTM language models (W. Zaremba et al., 2014), an
    untrained model is close to indifferent between its outputs.
    """

    reads = "tokens"

    def __init__(self, input_size: int, embedding_size: int = 64, dropout: float = 0.0, uniform: float = 0.1) -> None:
        super().__init__()
        if embedding_size < 1:
            raise ValueError(f"embedding_size is {embedding_size}; expected at least 1.")
        if uniform < 0:
            raise ValueError(f"frontend uniform is {uniform}; expected the bound of ±uniform, at least 0.")
        if not 0 <= dropout < 1:
            raise ValueError(f"frontend dropout is {dropout}; expected a probability in [0, 1).")
        self.output_size = embedding_size
        self.embedding = nn.Embedding(input_size, embedding_size)
        nn.init.uniform_(self.embedding.weight, -uniform, uniform)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        try:
            vectors = self.embedding(inputs)
        except IndexError as error:  # looked into only now: a check before every call would wait for the device
            wrong = inputs[(inputs < 0) | (inputs >= self.embedding.num_embeddings)]
            raise ValueError(f"inputs hold the token {int(wrong[0])}; expected ids in 0..{self.embedding.num_embeddings - 1}, the vocabulary.") from error
        return self.dropout(vectors)
