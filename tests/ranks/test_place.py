"""Who starts the ranks of a training: from the environment and the config alone, without starting one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from seqlab.build import build_data
from seqlab.cli import main
from seqlab.match import match_parameters
from seqlab.ranks import launch as launching
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


def test_a_sweep_is_not_run_once_in_each_rank(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "-m", "seed=1,2"]) == 2
    assert "torchrun has started 4 processes, and each would run the whole sweep" in capsys.readouterr().err


def test_what_cannot_be_started_is_said_before_anything_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launching, "launch", lambda *arguments: pytest.fail("ranks were started"))
    assert main(["train", "trainer.devices=2", "hydra.run.dir=run"]) == 1
    assert "trainer.devices is 2 and num_nodes 1, but this trainer is for one process. Take trainer=ddp trainer.devices=N." in capsys.readouterr().err
    assert main(["train", "trainer=ddp", "seed=-1", "hydra.run.dir=run"]) == 1
    assert "seed is -1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_ranks_get_the_run_s_own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    jobs: list[launching.Job] = []
    monkeypatch.setattr(launching, "launch", lambda job, number: jobs.append(job) or float(number))
    assert main(["train", "trainer=ddp", "trainer.devices=3", "trainer.accelerator=cpu", "cell=lstm", "cell.hidden_size=7", "hydra.run.dir=run"]) == 0
    (job,) = jobs
    config = OmegaConf.create(job.config)
    assert config.encoder.cell == config.cell  # resolved
    assert (config.cell.name, config.cell.hidden_size, config.trainer.devices) == ("lstm", 7, 3)
    assert (job.directory, job.resuming) == (str(tmp_path / "run"), False)
    assert job.logging["handlers"]["file"]["filename"] == f"{tmp_path}/run/train.log"
    assert "cell=lstm" in json.loads(json.dumps(asdict(job)))["overrides"]


def test_a_matched_size_reaches_the_encoder_of_a_resolved_config() -> None:
    config = small_config("cell=lstm", "match=params")
    resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True))  # pyright: ignore[reportArgumentType]
    assert isinstance(resolved, DictConfig)
    spec = build_data(config).spec
    assert match_parameters(config, spec)
    assert match_parameters(resolved, spec)
    assert resolved.encoder.cell.hidden_size == resolved.cell.hidden_size == config.cell.hidden_size
