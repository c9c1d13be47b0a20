"""The sweep of experiment=vanishing_gradient, small; and the comparison of its runs against records made by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from seqlab import cli
from seqlab.callbacks.gradient import RECORD
from seqlab.callbacks.gradient_comparison import PICTURE, TABLE, CompareGradients


def write_run(directory: Path, first: float, last: float, status: str = "finished") -> None:
    """A run whose gradient falls from 1 at the last of three steps to `first` before and `last` after training."""
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text("")
    (directory / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,1,0.5,\n0,2,,0.25\n0,4,,0.125\n")
    summary = {"status": status, "seed": 3, "parameters": 7, "metrics": {"test/loss": 0.2, "val/loss": 0.125}, "seconds": 1.25}
    (directory / "summary.json").write_text(json.dumps({**summary, "executors": {"encoder": {"executor": "loop"}}, "git_commit": "abc"}))
    states = np.array([[first, first**0.5, 1.0], [2 * last, 2 * last**0.5, 2.0]])
    arrays = {"steps": np.array([0, 4]), "largest": np.array([0.0, 8.0]), "states/0.h": states}
    np.savez(directory / RECORD, allow_pickle=False, **arrays)


def sweep(directory: Path) -> OmegaConf:
    return OmegaConf.create({"hydra": {"sweep": {"dir": str(directory)}}})  # pyright: ignore[reportReturnType]


def test_table_and_picture(tmp_path: Path) -> None:
    for name, first, last in (("calm", 1e-60, 0.0), ("free", 1e5, 1e9), ("held", 1.0, 0.5)):
        write_run(tmp_path / name, first, last)
    (tmp_path / "failed").mkdir()
    write_run(tmp_path / "spoilt", 1.0, 1.0, status="failed")
    (tmp_path / "spoilt" / "metrics.csv").write_text("epoch,step,train/loss\n0,1,0.5\n")  # its loss was no number before the first validation
    write_run(tmp_path / "killed", 1.0, 1.0)
    (tmp_path / "killed" / "summary.json").unlink()
    CompareGradients("free", "held", baseline=0.2).on_multirun_end(sweep(tmp_path))  # pyright: ignore[reportArgumentType]
    rows = {row["run"]: row for row in csv.DictReader((tmp_path / TABLE).read_text().splitlines())}
    assert set(rows) == {"calm", "free", "held"}
    assert [rows["calm"][key] for key in ("gradient_ratio_at_start", "gradient_ratio_after_training")] == ["1.00e-60", "0.00e+00"]
    assert [rows["held"][key] for key in ("gradient_ratio_after_training", "largest_gradient_norm")] == ["5.00e-01", "8.00e+00"]
    assert [rows["free"][key] for key in ("validation_loss_at_end", "test/loss", "executor")] == ["0.12500", "0.20000", "loop"]
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")


def test_a_sweep_without_the_pair_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_run(tmp_path / "held", 1.0, 1.0)
    with caplog.at_level("INFO", "seqlab"):
        CompareGradients("free", "held").on_multirun_end(sweep(tmp_path))  # pyright: ignore[reportArgumentType]
    assert "needs the runs free and held, and free did not finish" in caplog.text
    assert not (tmp_path / PICTURE).exists()


def test_the_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["cell.hidden_size=3", "executor=loop", "data.num_steps=8", "data.num_train=12", "data.num_val=8", "data.num_test=8", "data.batch_size=4"]
    quiet = ["trainer.max_epochs=1", "trainer.val_check_interval=1.0", "trainer.enable_progress_bar=false", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    monkeypatch.setattr("seqlab.callbacks.gradient.GradientRecord._draw", lambda self: None)  # pictures take longer than the training
    assert cli.main(["train", "experiment=vanishing_gradient", *small, *quiet]) == 0
    rows = list(csv.DictReader((tmp_path / "sweep" / TABLE).read_text().splitlines()))
    assert [row["run"] for row in rows] == ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "irnn", "lstm", "gru", "irnn_unclipped"]
    assert (tmp_path / "sweep" / PICTURE).stat().st_size > 50_000
    clipping = {name: OmegaConf.load(tmp_path / "sweep" / name / "config.yaml").trainer.gradient_clip_val for name in ("irnn", "irnn_unclipped")}
    assert clipping == {"irnn": 0.1, "irnn_unclipped": None}
