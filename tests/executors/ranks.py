"""One rank of a data-parallel step on the CPU: python -m tests.executors.ranks FOLDER RANK, with two ranks in all.

Each rank takes its rows of the batch in FOLDER/batch.pt; rank 0 writes the gradients after the backward to FOLDER/gradients.pt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from seqlab import Bidirectional, Layer, make_cell
from seqlab.cells.weight_drop import WeightDrop
from seqlab.ranks.group import leave

RANKS = 2


class Net(nn.Module):
    """Two directions of unlike cells, one of them with raw weights behind the weights; the sum of y and of the last state."""

    def __init__(self, executor: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        forward, backward = make_cell("lstm", 3, 5), WeightDrop(make_cell("lstm", 3, 5), 0.0)
        self.layers = Bidirectional(Layer(forward, executor, learn_initial_state=True), Layer(backward, executor)).double()

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        y, state = self.layers(x, lengths)
        return y.square().sum() + sum(leaf.sin().sum() for leaf in state.values())


def main(folder: Path, rank: int) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    batch = torch.load(folder / "batch.pt")
    net = DistributedDataParallel(Net("compiled"))
    for _ in range(2):  # the second step meets the gradient buckets as the first left them
        net.zero_grad()
        net(batch["x"][rank::RANKS], batch["lengths"][rank::RANKS]).backward()
    if rank == 0:
        torch.save({name: parameter.grad for name, parameter in net.module.named_parameters()}, folder / "gradients.pt")
    dist.barrier()
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
