"""From the encoder's final state to the decoder's first. Dimension key: B batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlab.cells.base import State
from seqlab.layers import SequenceModule


class Bridge(nn.Module):
    """leaf of the decoder = tanh(W [all leaves of one depth of the encoder] + b), learned for each leaf.

    Depths are counted from the top: the top of the decoder reads the top of the encoder, and so on downwards; where the
    encoder has fewer, its lowest is read again. "All leaves" are those of both directions and of every name, so that widths,
    depths, directions and cells may differ: a GRU's h alone feeds an LSTM's h and c. Leaves that are no floating-point
    numbers start as the decoder says.
    Source: W of Bahdanau et al., 2015, appendix A.2.2 (there of the backward direction alone).
    """

    def __init__(self, encoder: SequenceModule, decoder: SequenceModule) -> None:
        super().__init__()
        self.decoder = [decoder]  # in a list: its parameters belong to the decoder
        sources, targets = _by_depth(encoder.initial_state(1)), _by_depth(decoder.initial_state(1))
        self.sources: dict[str, list[str]] = {}  # leaf of the decoder: leaves of the encoder
        self.maps = nn.ModuleDict()
        for place, leaves in enumerate(reversed(targets)):
            below = sources[max(len(sources) - 1 - place, 0)]
            width = sum(leaf[0].numel() for leaf in below.values())
            for name, leaf in leaves.items():
                self.sources[name] = list(below)
                self.maps[name.replace(".", "/")] = nn.Linear(width, math.prod(leaf.shape[1:]))

    def forward(self, state: State) -> State:
        """The encoder's final state {name: (B, …)} -> the state the decoder starts from."""
        batch = len(next(iter(state.values())))
        start = self.decoder[0].initial_state(batch)
        for name, sources in self.sources.items():
            flat = torch.cat([state[source].flatten(1) for source in sources], 1)
            start[name] = torch.tanh(self.maps[name.replace(".", "/")](flat)).reshape(start[name].shape)
        return start


def _by_depth(state: State) -> list[dict[str, Tensor]]:
    """The floating-point leaves of each depth, the lowest first; a part that is no stack has one depth."""
    depths: dict[int, dict[str, Tensor]] = {}
    for name, leaf in state.items():
        first = name.partition(".")[0]
        if leaf.is_floating_point():
            depths.setdefault(int(first) if first.isdigit() else 0, {})[name] = leaf
    if not depths:
        raise ValueError("the encoder or the decoder has no state to bridge; expected at least one leaf of floating-point numbers.")
    return [depths[depth] for depth in sorted(depths)]
