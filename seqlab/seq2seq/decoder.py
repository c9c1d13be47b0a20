"""A sequence written from another. Dimension key: B batch, T target length, S source length, A attended size, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqlab.attention import Attention
from seqlab.cells.base import State
from seqlab.layers import Bidirectional, SequenceModule
from seqlab.layers.contract import add_prefix, take_prefix
from seqlab.seq2seq.bridge import Bridge


class Decoder(nn.Module):
    """Symbols one after the other, from the encoder's final state through a bridge and, with attention, from all its steps.

    y_t, s_t = layers([embed(symbol_{t−1}); a_{t−1}], s_{t−1}), c_t, α_t = attention(y_t), a_t = tanh(W [c_t; y_t]),
    scores_t = V a_t; a_{t−1} is read with input_feeding alone. Without attention a_t = y_t: the plain fixed vector.

    Source: Luong, Pham and Manning, 2015, eq. 5 and section 3.3; without attention I. Sutskever et al., 2014. Bahdanau's
    decoder asks with s_{t−1} and feeds c_t to the cell; here additive attention is asked with y_t, as all others are.
    The state is flat, every leaf (B, …): layers.*, and memory.* for what belongs to the source; `weights` and `attended`
    where attention and input feeding need them. Per-call masks of the cells are drawn anew at every single step.
    """

    def __init__(
        self,
        vocabulary_size: int,
        encoder: SequenceModule,
        layers: Callable[..., SequenceModule],
        attention: Callable[..., Attention] | None = None,
        embedding_size: int = 128,
        input_feeding: bool = False,
        bridge: bool = True,
        dropout: float = 0.0,
        attended_size: int | None = None,
        tied: bool = False,
    ) -> None:
        """layers: called with input_size=. attention: called with key_size=, query_size=. encoder: read for its sizes alone.

        attended_size: the width of a_t with attention, that of the encoder's steps by default. tied: V is the embedding, so
        that a_t has its width. Source: O. Press and L. Wolf, 2017. dropout: of what is embedded, of the keys and of a_t.
        """
        super().__init__()
        attention = attention or None  # conf/attention/none.yaml is an empty mapping
        if attention is None and input_feeding:
            raise ValueError("input_feeding=True but there is no attention whose result could be fed. Choose an attention or input_feeding=false.")
        if attention is None and not bridge:
            raise ValueError("there is neither attention nor a bridge; expected one of them, or the decoder would never see the source.")
        if attention is None and attended_size is not None:
            raise ValueError(f"attended_size is {attended_size} but there is no attention; expected null. Choose an attention, or head.attended_size=null.")
        if not 0 <= dropout < 1:
            raise ValueError(f"decoder dropout is {dropout}; expected a probability in [0, 1).")
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.vocabulary_size = vocabulary_size
        self.attended_size = encoder.output_size if attended_size is None else attended_size
        self.input_feeding = input_feeding
        self.layers = layers(input_size=embedding_size + (self.attended_size if input_feeding else 0))
        if any(isinstance(module, Bidirectional) for module in self.layers.modules()):
            raise ValueError("the decoder's layers are bidirectional, so they would read the symbols that they should write. Choose layers of one direction.")
        width = self.layers.output_size
        self.attention = attention(key_size=encoder.output_size, query_size=width) if attention else None
        self.combine = nn.Linear(encoder.output_size + width, self.attended_size) if attention else None
        self.bridge = Bridge(encoder, self.layers) if bridge else None
        self.dropout = nn.Dropout(dropout)
        last = self.attended_size if attention else width
        self.output = nn.Linear(last, vocabulary_size)
        if tied:
            if last != embedding_size:
                raise ValueError(f"tied=true but the output reads {last} values and the embedding has {embedding_size}; expected equal widths.")
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)  # of N(0, 1) the first scores would lie far apart
            self.output.weight = self.embedding.weight

    def start(self, keys: Tensor, mask: Tensor | None, final: State) -> State:
        """The encoder's steps (B, S, K), which of them are valid, and its final state -> the state before the first symbol."""
        batch, length = keys.shape[:2]
        state = add_prefix("layers", self.layers.initial_state(batch) if self.bridge is None else self.bridge(final))
        if self.attention is not None:
            state |= add_prefix("memory", self.attention.prepare(self.dropout(keys), mask)) | {"weights": keys.new_zeros(batch, length)}
        if self.input_feeding:
            state["attended"] = keys.new_zeros(batch, self.attended_size)
        return state

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """tokens (B,), the symbols before -> scores (B, V) of the next, and the state."""
        x = self.dropout(self.embedding(tokens))
        if self.input_feeding:
            x = torch.cat([x, state["attended"]], -1)
        y, layers = self.layers(x[:, None], None, take_prefix("layers", state))
        y, state = y[:, 0], {**state, **add_prefix("layers", layers)}
        if self.attention is not None and self.combine is not None:
            memory = take_prefix("memory", state)
            assert memory is not None
            context, state["weights"] = self.attention.attend(y, memory, state["weights"])
            y = torch.tanh(self.combine(torch.cat([context, y], -1)))
        y = self.dropout(y)
        if self.input_feeding:
            state["attended"] = y
        return self.output(y), state

    def forward(self, tokens: Tensor, state: State, teacher_forcing: float = 1.0) -> tuple[Tensor, Tensor | None]:
        """tokens (B, T), the right symbols shifted by one -> scores (B, T, V) and weights (B, T, S), None without attention.

        teacher_forcing: the probability that a step reads the right symbol and not one drawn from the scores before it.
        All steps at once where no step needs what came out of the one before; the result is the same.
        """
        if teacher_forcing == 1 and not self.input_feeding and not (self.attention and self.attention.uses_previous):
            return self._at_once(tokens, state)
        scores: list[Tensor] = []
        weights: list[Tensor] = []
        for place in range(tokens.shape[1]):
            read = tokens[:, place]
            if place and teacher_forcing < 1:
                drawn = torch.multinomial(scores[-1].detach().softmax(-1), 1)[:, 0]
                read = torch.where(torch.rand(read.shape, device=read.device) < teacher_forcing, read, drawn)
            score, state = self.step(read, state)
            scores.append(score)
            if self.attention is not None:
                weights.append(state["weights"])
        return torch.stack(scores, 1), torch.stack(weights, 1) if weights else None

    def _at_once(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor | None]:
        y, _ = self.layers(self.dropout(self.embedding(tokens)), None, take_prefix("layers", state))
        weights = None
        if self.attention is not None and self.combine is not None:
            memory = take_prefix("memory", state)
            assert memory is not None
            context, weights = self.attention.attend_all(y, memory)
            y = torch.tanh(self.combine(torch.cat([context, y], -1)))
        return self.output(self.dropout(y)), weights
