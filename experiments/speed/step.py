"""What the framework adds to a training step: python experiments/speed/step.py [OVERRIDE …]

Trains as `seqlab train experiment=char_lm` does, all callbacks and records included, and after every block of steps runs the
same number of steps of the same model in a bare PyTorch loop: zero_grad, forward, backward, clip, step, schedule. Both see
the same batches, which lie in memory. Prints the median milliseconds of both and their ratio; the goal is at most 1.05.
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import seqlab
from seqlab.train import build

BLOCK, BLOCKS = 20, 12
CONF = Path(seqlab.__file__).parents[1] / "conf"


def bare_steps(task: Any, batches: list[Any]) -> Iterator[None]:
    """A step of the optimizer for each `next`."""
    optimizer = task.make_optimizer(task.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10 * BLOCK * BLOCKS)
    index = 0
    while True:
        optimizer.zero_grad()
        task.outcome(batches[index % len(batches)]).loss.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        index += 1
        yield


class Alternating:
    """Gives the trainer its batches and times it, block by block; between the blocks it runs the bare loop."""

    def __init__(self, task: Any, batches: list[Any]) -> None:
        self.task, self.batches = copy.deepcopy(task), batches
        self.trained: list[float] = []
        self.bare: list[float] = []

    def __len__(self) -> int:
        return BLOCK * BLOCKS

    def __iter__(self) -> Iterator[Any]:
        steps = bare_steps(self.task, self.batches)
        for _ in range(BLOCKS):
            started = time.perf_counter()
            for index in range(BLOCK):
                yield self.batches[index % len(self.batches)]
            self.trained.append((time.perf_counter() - started) / BLOCK)
            started = time.perf_counter()
            for _ in range(BLOCK):
                next(steps)
            self.bare.append((time.perf_counter() - started) / BLOCK)


def measure(overrides: list[str]) -> tuple[float, float]:
    """Median milliseconds of a step of the trainer and of a bare step, the first two blocks left out."""
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", ["experiment=char_lm", "trainer.max_epochs=1", "trainer.limit_val_batches=0", "trainer.enable_progress_bar=true", *overrides])
        OmegaConf.resolve(config)
        data, task, trainer = build(config, OmegaConf.to_container(config, resolve=True), Path(folder))  # type: ignore[arg-type]
        loader = Alternating(task, [batch for batch, _ in zip(data.train_dataloader(), range(BLOCK), strict=False)])
        trainer.fit(task, train_dataloaders=loader)
    return statistics.median(loader.trained[2:]) * 1e3, statistics.median(loader.bare[2:]) * 1e3


if __name__ == "__main__":
    for hidden_size in (128, 256):
        trained, bare = measure([f"cell.hidden_size={hidden_size}", *sys.argv[1:]])
        print(f"lstm {hidden_size}: seqlab train {trained:.2f} ms a step, bare loop {bare:.2f} ms, ratio {trained / bare:.3f}", flush=True)
