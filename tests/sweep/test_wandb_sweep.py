"""The sweep file for Weights & Biases, as far as it can be tried without a network: the command its agent would start."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

FILE = Path(__file__).parents[2] / "experiments/wandb_sweep.yaml"


@pytest.mark.slow
def test_the_command_of_an_agent_trains(sweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    from seqlab.cli import main
    from tests.sweep.conftest import QUICK

    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    chosen = {"cell": "gru", "cell.hidden_size": 3, "optimizer.lr": 0.01}  # what the server would choose
    assert chosen.keys() == content["parameters"].keys()
    args = create_sweep_command_args({"args": {name: {"value": value} for name, value in chosen.items()}})
    words = [word for part in create_sweep_command(content["command"]) for word in (args["args_no_hyphens"] if part == "${args_no_hyphens}" else [part])]
    assert words[:4] == ["seqlab", "train", "experiment=binary_addition", "logger=wandb"]
    assert words[4:] == ["cell=gru", "cell.hidden_size=3", "optimizer.lr=0.01"]
    offline = [word for word in words if word != "logger=wandb"]  # here there is no server; tests/train/test_loggers.py has that logger
    quick = [word for word in QUICK if not word.startswith("cell.")]
    assert main([*offline[1:], *quick, "hydra.run.dir=run"]) == 0
    assert yaml.safe_load(Path("run/config.yaml").read_text())["cell"]["hidden_size"] == 3
    metrics = Path("run/metrics.csv").read_text().splitlines()[0].split(",")
    assert content["metric"]["name"] in metrics
