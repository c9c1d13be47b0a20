"""The training loop without the lab, of the same model: python bare.py STEPS [OVERRIDE …], or the same by torchrun for several processes.

zero_grad, forward, backward, clip, step; with several processes torch's DistributedDataParallel around it. Prints {"tokens_per_second": …},
of all processes together, without the first WARM steps.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from seqlab.build import build_data, build_task
from seqlab.config import config_folder
from seqlab.ranks.group import leave

WARM = 20


class Loss(nn.Module):
    """The loss of a batch as a forward, which DistributedDataParallel expects."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task

    def forward(self, batch: Any) -> Tensor:
        return self.task.outcome(batch).loss


def main(steps: int, overrides: list[str]) -> None:
    """Train and print the speed, from the first process."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    with initialize_config_dir(str(Path(config_folder()).absolute()), version_base="1.3"):
        config = compose("train", ["experiment=char_lm", *overrides])
    torch.manual_seed(0)
    data = build_data(config)
    task: Any = build_task(config, data.spec)
    task.prepare(data)
    model: nn.Module = Loss(task)
    if size > 1:
        dist.init_process_group("gloo")
        model = nn.parallel.DistributedDataParallel(model)
    batches = itertools.cycle([batch for batch, _ in zip(data.train_dataloader(), range(40), strict=False)])
    optimizer = task.make_optimizer(task.parameters())
    tokens, started = 0, 0.0
    for step in range(WARM + steps):
        if step == WARM:
            started = time.perf_counter()
        batch = next(batches)
        optimizer.zero_grad()
        model(batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tokens += batch.targets.numel() if step >= WARM else 0
    if int(os.environ.get("RANK", 0)) == 0:
        print(json.dumps({"tokens_per_second": size * tokens / (time.perf_counter() - started)}))
    if size > 1:
        leave()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
