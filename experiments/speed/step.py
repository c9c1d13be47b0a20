"""What the framework adds to a training step: python experiments/speed/step.py [OVERRIDE …]

Trains as `seqlab train experiment=char_lm` does, all callbacks and records included, and after every few steps runs the same
number of steps of the same model in a bare PyTorch loop: zero_grad, forward, backward, clip, step, schedule. Both see the
same batches, which lie in memory. Prints the median milliseconds of both, and the median of the ratios of neighbouring blocks with
its middle half, of wall-clock and of processor time: on a busy machine only the second says anything. The goal is at most 1.05.
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import seqlab
from seqlab.resume import Start
from seqlab.train import build, quiet_libraries

BLOCK, BLOCKS, WARM = 5, 48, 4  # steps of one side at a time, how often, and how many of the first do not count
JOBS = {  # T, B, I, H: the overrides of experiment=char_lm
    "64,16,64,256": [],
    "64,16,128,128": ["frontend.embedding_size=128", "cell.hidden_size=128"],
    "512,16,64,64": ["data.chunk_length=512", "cell.hidden_size=64"],
}
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


class Times(NamedTuple):
    """Seconds of a step by the clock, and of the processor."""

    wall: float
    processor: float


def clocks() -> Times:
    return Times(time.perf_counter(), time.process_time())


def a_step(since: Times) -> Times:
    now = clocks()
    return Times((now.wall - since.wall) / BLOCK, (now.processor - since.processor) / BLOCK)


class Alternating:
    """Gives the trainer its batches and times it, block by block; between the blocks it runs the bare loop."""

    def __init__(self, task: Any, batches: list[Any]) -> None:
        self.task, self.batches = copy.deepcopy(task), batches
        self.trained: list[Times] = []
        self.bare: list[Times] = []

    def __len__(self) -> int:
        return BLOCK * BLOCKS

    def __iter__(self) -> Iterator[Any]:
        steps = bare_steps(self.task, self.batches)
        for _ in range(BLOCKS):
            started = clocks()
            for index in range(BLOCK):
                yield self.batches[index % len(self.batches)]
            self.trained.append(a_step(started))
            started = clocks()
            for _ in range(BLOCK):
                next(steps)
            self.bare.append(a_step(started))


def measure(overrides: list[str]) -> Alternating:
    """The times of both sides."""
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", ["experiment=char_lm", "trainer.max_epochs=1", "trainer.limit_val_batches=0", *overrides])
        OmegaConf.resolve(config)
        resolved: Any = OmegaConf.to_container(config, resolve=True)
        data, task, trainer = build(config, resolved, Path(folder), Start())
        loader = Alternating(task, [batch for batch, _ in zip(data.train_dataloader(), range(4 * BLOCK), strict=False)])
        data.train_dataloader = lambda: loader
        trainer.fit(task, datamodule=data)
    return loader


def main() -> None:
    quiet_libraries()
    for size, job in JOBS.items():
        times = measure([*job, *sys.argv[1:]])
        for clock in Times._fields:
            trained, bare = ([getattr(t, clock) for t in side[WARM:]] for side in (times.trained, times.bare))
            low, middle, high = statistics.quantiles((a / b for a, b in zip(trained, bare, strict=True)), n=4)
            medians = f"seqlab train {statistics.median(trained) * 1e3:.2f} ms a step, bare loop {statistics.median(bare) * 1e3:.2f} ms"
            print(f"lstm {size}, {clock}: {medians}, ratio {middle:.3f} ({low:.3f} to {high:.3f})", flush=True)


if __name__ == "__main__":
    main()
