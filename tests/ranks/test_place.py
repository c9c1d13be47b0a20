"""Who starts the ranks of a training: from the environment and the config alone, without starting one."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from seqlab.ranks.place import Place, of_one_process, place, ranks_asked_for, ranks_to_start
from tests.train.conftest import small_config

TORCHRUN = {"TORCHELASTIC_RUN_ID": "7", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}
DDP = {"strategy": "ddp", "devices": 2, "num_nodes": 1}


def test_the_environment_says_who_started_this_process() -> None:
    assert place({}) is None
    assert place(TORCHRUN) == Place(1, 4, "torchrun")
    assert place({"SLURM_PROCID": "2", "SLURM_NTASKS": "3"}) == Place(2, 3, "srun")
    assert place({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "1"}) is None  # a job of one task, which may start ranks
    assert place({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", **TORCHRUN}) == Place(1, 4, "torchrun")  # torchrun inside it


def test_half_of_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="its environment lacks RANK, WORLD_SIZE"):
        place({"LOCAL_RANK": "0"})


@pytest.mark.parametrize(("trainer", "ranks"), [("cpu", None), ("default", None), ("deterministic", None), ("ddp", 2), ("fsdp2", 2)])
def test_what_the_configs_ask_for(trainer: str, ranks: int | None) -> None:
    config = small_config(f"trainer={trainer}").trainer
    assert ranks_asked_for(config) == ranks
    assert ranks_to_start(config, None) == (ranks or 0)
    assert ranks_asked_for(OmegaConf.create(of_one_process(config))) is None


def test_one_gpu_by_its_number_is_one_process() -> None:
    assert ranks_asked_for(small_config("trainer.devices=[1]").trainer) is None


@pytest.mark.parametrize(
    ("trainer", "said"),
    [
        ({"devices": 2}, "devices is 2 and num_nodes 1, but this trainer is for one process. Take trainer=ddp"),
        ({"devices": [0, 1]}, "this trainer is for one process"),
        ({"devices": "auto"}, "this trainer is for one process"),
        ({"devices": 1, "num_nodes": 2}, "this trainer is for one process"),
        ({**DDP, "strategy": "ddp_spawn"}, "no strategy is named 'ddp_spawn'"),
        ({**DDP, "devices": "auto"}, "trainer.devices is 'auto'; expected how many"),
        ({**DDP, "devices": 0}, "trainer.devices is 0; expected how many"),
        ({**DDP, "num_nodes": 2}, "num_nodes is 2; expected 1 outside torchrun"),
    ],
)
def test_trainers_that_cannot_be_started_are_refused(trainer: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=r"trainer|strategy") as refused:
        ranks_to_start(trainer, None)
    assert said in str(refused.value)


def test_a_rank_starts_none_and_their_number_has_to_be_the_config_s() -> None:
    assert ranks_to_start(DDP, Place(1, 2, "torchrun")) == 0
    assert ranks_to_start({**DDP, "num_nodes": 2}, Place(3, 4, "srun")) == 0
    assert ranks_to_start({"devices": 1}, Place(0, 1, "torchrun")) == 0
    with pytest.raises(ValueError, match="srun has started 4 processes, but the trainer is for 2"):
        ranks_to_start(DDP, Place(0, 4, "srun"))
    with pytest.raises(ValueError, match="torchrun has started 2 processes, but the trainer is for 1"):
        ranks_to_start({"devices": 1}, Place(0, 2, "torchrun"))
