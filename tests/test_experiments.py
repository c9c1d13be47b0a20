"""What every experiment in conf/ has in common."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from seqlab.config import config_folder
from seqlab.tasks.schedules import Schedule

CONFIGS = config_folder() / "experiment"
EXPERIMENTS = sorted(file.relative_to(CONFIGS).with_suffix("").as_posix() for file in Path(CONFIGS).rglob("*.yaml") if file.stem != "none")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_few_batches_of_it_can_be_run(name: str) -> None:
    """debug=fast leaves no more than three steps, whatever the experiment asks for, and the schedule makes do with them."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [f"experiment={name}", "debug=fast"])
    assert (config.trainer.max_epochs, config.trainer.max_steps, config.trainer.limit_train_batches) == (1, -1, 3)
    if config.schedule:
        sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
        schedule = instantiate(config.schedule)(sgd, 3)
        assert isinstance(schedule, Schedule)
        assert schedule.monitor in ("", config.monitor, "val/loss")
