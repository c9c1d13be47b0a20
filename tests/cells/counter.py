"""A cell that few would write, and what the tests of wrapper cells feed to cells."""

import torch
from torch import nn

from seqlab import Cell


class Counter(Cell):
    """A cell with a whole-number leaf, a constant leaf and a plain one; y is none of them."""

    def __init__(self):
        super().__init__(3, 4, {"steps": (), "memory": (4,), "h": (4,)})
        self.weight = nn.Parameter(torch.ones(4, 3, dtype=torch.float64))

    def initial_state(self, batch_size):
        return {**super().initial_state(batch_size), "steps": torch.zeros(batch_size, dtype=torch.int64)}

    def project(self, x):
        return x @ self.weight.T

    def step(self, p, state):
        h = p + state["memory"] + state["h"]
        return 2 * h, {"steps": state["steps"] + 1, "memory": state["memory"], "h": h}


def inputs(num_steps=7, batch=3, width=3):
    torch.manual_seed(0)
    return torch.randn(batch, num_steps, width, dtype=torch.float64)
