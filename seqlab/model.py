"""Front end, encoder, head: one model for every task on single sequences. Dimension key: B batch, T time."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.cells.base import State
from seqlab.frontends import Frontend
from seqlab.layers import SequenceModule


class SequenceModel(nn.Module):
    """scores, state = head(encoder(frontend(inputs)))."""

    def __init__(self, frontend: Frontend, encoder: SequenceModule, head: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend
        self.encoder = encoder
        self.head = head

    def forward(self, inputs: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """inputs (B, T) tokens or (B, T, I) features -> scores as the head gives them, and the encoder's final state."""
        y, lengths, final = self.encode(inputs, lengths, state)
        return self.head(y, lengths), final

    def encode(self, inputs: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, Tensor | None, State]:
        """inputs -> what the head reads: y (B, T, O) and its lengths; and the encoder's final state."""
        x = self.frontend(inputs, lengths)
        if lengths is not None:
            lengths = self.frontend.output_lengths(lengths)
        y, final = self.encoder(x, lengths, state)
        return y, None if lengths is None else self.encoder.output_lengths(lengths), final
