"""Cells for the benchmark that seqlab has never seen: seqlab bench unseen:compiled --plugin experiments/speed/cells.py."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab import Cell, make_cell, register_cell
from seqlab.cells.zoneout import Zoneout


@register_cell("unseen")
class Unseen(Cell):
    """An LSTM-shaped cell of no paper, as a user might write it: modules, a softsign, a gate on the old output.

    Source: made up for this benchmark, with the four H × (I + H) products of an LSTM.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,), "m": (hidden_size,)}, output_key="h")
        self.input_map = nn.Linear(input_size, 4 * hidden_size)
        self.recurrent_map = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.mix = nn.Parameter(torch.zeros(hidden_size))

    def project(self, x: Tensor) -> Tensor:
        return self.input_map(x)

    def step(self, p: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        a, b, c, d = (p + self.recurrent_map(state["h"])).chunk(4, -1)
        keep = torch.sigmoid(a + 1.0)
        m = keep * state["m"] + (1 - keep) * torch.nn.functional.softsign(b)
        mix = torch.sigmoid(self.mix)
        h = torch.sigmoid(c) * torch.tanh(m) + mix * torch.sigmoid(d) * state["h"]
        return h, {"h": h, "m": m}


@register_cell("zoneout_lstm")
class ZoneoutLSTM(Zoneout):
    """Zoneout around `lstm`, as one name for the benchmark.

    Source: see seqlab.cells.zoneout.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(make_cell("lstm", input_size, hidden_size), rate=0.1)
