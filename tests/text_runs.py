"""Run directories of small language models, made without training."""

from __future__ import annotations

from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqlab.build import build_data, build_task
from seqlab.checkpoint import write_checkpoint
from seqlab.config import config_folder
from seqlab.tasks import Task

TEXT = Path(__file__).parent / "fixtures" / "text"
SMALL = ["cell.hidden_size=7", "frontend.embedding_size=5", "data.fractions=[0.8,0.1,0.1]"]


def make_run(directory: Path, *overrides: str) -> Path:
    """The files of a run that later commands read, with the weights the model starts from as `best`, and large ones as `last`."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [f"data.path={TEXT / 'harbour.txt'}", *SMALL, *overrides])
    directory.mkdir()
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")
    data = build_data(config)
    for name, text in data.records().items():
        (directory / name).write_text(text, encoding="utf-8")
    torch.manual_seed(0)
    task = build_task(config, data.spec)
    save(task, directory, "best")
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.mul_(20.0 if parameter.dim() > 1 else 0.0)
    save(task, directory, "last")
    return directory


def save(task: Task, directory: Path, name: str) -> None:
    """Write the task's weights as the checkpoint `name`."""
    write_checkpoint({"state_dict": task.state_dict()}, directory / "checkpoints" / f"{name}.ckpt")
