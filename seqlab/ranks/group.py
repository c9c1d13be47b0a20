"""What the ranks of a training tell each other: one of them goes first, all have the same config, and all wait for each other."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only

from seqlab.ranks.agreement import agree
from seqlab.ranks.place import Place, place, ranks_asked_for

PAUSE = 0.1  # seconds


def is_first() -> bool:
    """Whether this process is the one of several that writes, draws and speaks, as Lightning has it; true of one alone."""
    return not getattr(rank_zero_only, "rank", 0)


class FirstRankStopped(SystemExit):
    """Rank 0 has failed, and says why; there is nothing to add."""


class Group:
    """Rank `rank` of `size`. A training in one process is a group of its own, in which all of this costs nothing."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def is_first(self) -> bool:
        """Whether this rank is the one that writes, draws and speaks."""
        return self.rank == 0

    def from_first(self, value: Any) -> Any:
        """What rank 0 gives here."""
        box = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """What each rank gives here, in their order."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def agree(self, own: Any) -> None:
        """Raise ValueError on every rank unless all have equal plain data."""
        agree(own, self.gather)

    def wait(self) -> None:
        """Until all ranks are here."""
        self.gather(None)

    @contextlib.contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """A block that rank 0 has left before the others enter it, so that they find what it has made. They do not enter where it raised."""
        if self.size == 1 or not self.is_first:
            if not self.is_first and not self.from_first(None):
                raise FirstRankStopped(1)
            yield
            return
        try:
            yield
        except BaseException:
            with contextlib.suppress(RuntimeError):  # of another that has ended before: what is told is this error
                self.from_first(False)
            raise
        self.from_first(True)


ALONE = Group()


@contextlib.contextmanager
def joined(trainer: Any) -> Iterator[Group]:
    """The group of the training for the length of a block: of the ranks that torchrun or srun has started, or of this process alone.

    Raises ValueError where the trainer asks for ranks and this process is none.
    """
    here, asked = place(), ranks_asked_for(trainer)
    if asked is None:
        yield ALONE
        return
    if here is None:
        raise ValueError(f"the trainer asks for {asked} processes, and this one was not started as one of them. Train with `seqlab train`, which starts them.")
    connect(here, trainer.accelerator)
    if here.rank:  # rank 0 says it all
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
    try:
        yield Group(here.rank, here.size)
    except BaseException:
        if not torch.cuda.is_available():  # so that those who wait for this rank wait no longer; of NCCL it would wait itself
            leave()
        raise
    leave()


def leave() -> None:
    """Leave the other ranks.

    After a pause: a thread of gloo gives back a Python object of the last message, for which it needs the interpreter's lock, and
    the group waits for that thread while it is destroyed with the lock held (torch 2.13). Without the pause one of 12
    pairs of processes that ended right after a step of DistributedDataParallel waited for ever.
    """
    time.sleep(PAUSE)
    dist.destroy_process_group()


def connect(here: Place, accelerator: str) -> None:
    """Meet the other ranks: over gloo, the tensors of GPUs over NCCL."""
    if here.starter == "srun":
        slurm = SLURMEnvironment()
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = slurm.main_address, str(slurm.main_port)
    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", rank=here.rank, world_size=here.size)
