"""Which of the processes that train one model this one is, who started them, and how many a config asks for.

Standard library only: a config that cannot be started is refused before torch is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqlab.registry import unknown

ONE_PROCESS = (None, "auto", "single_device")
SEVERAL = ("ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")


@dataclass(frozen=True)
class Place:
    """Rank `rank` of `size`, started by `starter`."""

    rank: int
    size: int
    starter: str


def place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """This process's place when torchrun or srun has started it as a rank, else None. Raises ValueError when it is told only half.

    A job of SLURM that is a single task is no rank: it may start some.
    """
    if "TORCHELASTIC_RUN_ID" in environment or "LOCAL_RANK" in environment:
        missing = [name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK") if name not in environment]
        if missing:
            raise ValueError(f"this process is one of several, but its environment lacks {', '.join(missing)}. Start it with torchrun or srun.")
        return Place(int(environment["RANK"]), int(environment["WORLD_SIZE"]), "torchrun")
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS") or 1)
    return Place(int(environment["SLURM_PROCID"]), tasks, "srun") if tasks > 1 and "SLURM_PROCID" in environment else None


def ranks_asked_for(trainer: Mapping[str, Any]) -> int | None:
    """How many ranks the trainer of a config is made for, on all nodes; None when its strategy is one for a single process.

    Raises ValueError for several devices without a strategy for them, and for a strategy that starts processes its own way.
    """
    strategy, devices, nodes = trainer.get("strategy"), trainer.get("devices"), trainer.get("num_nodes") or 1
    if strategy in ONE_PROCESS:
        listed = len(devices) if isinstance(devices, Sequence) and not isinstance(devices, str) else None  # one GPU, by its number
        if (devices not in (None, 1) and listed != 1) or nodes != 1:
            raise ValueError(f"trainer.devices is {devices} and num_nodes {nodes}, but this trainer is for one process. Take trainer=ddp trainer.devices=N.")
        return None
    if isinstance(strategy, str) and strategy not in SEVERAL:
        raise ValueError(unknown("strategy", strategy, list(SEVERAL), "Of others, those that start processes themselves would start the whole sweep in each."))
    for name, value in (("devices", devices), ("num_nodes", nodes)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"trainer.{name} is {value!r}; expected how many, 1 or more. Which GPUs they are is said with CUDA_VISIBLE_DEVICES.")
    assert isinstance(devices, int)
    return devices * nodes


def ranks_to_start(trainer: Mapping[str, Any], here: Place | None) -> int:
    """How many ranks this process has to start for a training; 0 when it trains by itself, alone or as the rank that it is.

    Raises ValueError when there are more or fewer ranks than the trainer asks for, and when they belong on several nodes.
    """
    asked = ranks_asked_for(trainer)
    if here is not None:
        if here.size != (asked or 1):
            raise ValueError(
                f"{here.starter} has started {here.size} processes, but the trainer is for {asked or 1}. "
                "Take trainer=ddp, with trainer.devices=N for N processes on each of trainer.num_nodes machines."
            )
        return 0
    if asked and (nodes := trainer.get("num_nodes") or 1) > 1:
        raise ValueError(f"trainer.num_nodes is {nodes}; expected 1 outside torchrun and srun. Start torchrun on each node, with `-m seqlab.cli train …`.")
    return asked or 0


def of_one_process(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The same trainer for this process alone, of a run that several have trained."""
    alone = {"strategy": "auto", "devices": 1, "num_nodes": 1} if trainer.get("strategy") not in ONE_PROCESS else {}
    return {**trainer, **alone}
