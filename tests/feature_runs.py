"""Run directories of models that read features, made without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqlab.build import build_data, build_task
from seqlab.config import config_folder
from tests.text_runs import save

SMALL = ["experiment=none", "data.num_bits=3", "data.num_pairs=24", "executor=loop", "cell.hidden_size=5"]


def make_feature_run(directory: Path, *overrides: str, small: Sequence[str] = SMALL) -> Path:
    """The files of a run, by default on the binary adder, that later commands read, with the weights the model starts from as `best`."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [*small, *overrides])
    directory.mkdir()
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")
    data = build_data(config)
    for name, text in data.records().items():
        (directory / name).write_text(text, encoding="utf-8")
    torch.manual_seed(0)
    save(build_task(config, data.spec), directory, "best")
    return directory
