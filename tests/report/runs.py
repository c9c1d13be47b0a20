"""Run directories as `seqlab train` leaves them, made in a millisecond."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

CONFIG = {
    "seed": 0,
    "monitor": "val/accuracy",
    "mode": "max",
    "data": {"_target_": "seqlab.data.mnist.MNIST", "reading": "rows", "data_dir": None, "seed": 0},
    "cell": {"_target_": "seqlab.make_cell", "name": "lstm", "hidden_size": 8},
    "encoder": {"_target_": "seqlab.layers.Stack.of", "cell": {"_target_": "seqlab.make_cell", "name": "lstm", "hidden_size": 8}, "num_layers": 1},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.1, "betas": [0.9, 0.99]},
    "task": {"_target_": "seqlab.tasks.Classification"},
}


def make_run(folder: Path, cell: str = "lstm", seed: int = 0, value: float | None = 0.5, status: str = "finished", **changes: Any) -> Path:
    """changes: "group__key"=value in the config."""
    folder.mkdir(parents=True)
    config = json.loads(json.dumps(CONFIG))
    config["seed"] = config["data"]["seed"] = seed
    config["cell"]["name"] = config["encoder"]["cell"]["name"] = cell
    for key, new in changes.items():
        group, _, leaf = key.partition("__")
        config[group][leaf] = new
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    metrics = {"val/accuracy": 0.4} | ({} if value is None else {"test/accuracy": value})
    figures = {"parameters": 1234, "tokens_per_second": 5000.0, "peak_memory_mb": 400.0, "peak_device_memory_mb": None, "steps": 30}
    (folder / "summary.json").write_text(json.dumps({"metrics": metrics, "monitor": "val/accuracy", "status": status, **figures}))
    (folder / "metrics.csv").write_text("epoch,step,train/loss,val/accuracy\n0,10,1.5,\n0,20,1.1,0.3\n1,30,0.9,0.4\n")
    return folder
