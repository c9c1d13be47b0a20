"""A run that was killed goes on as the run that was never stopped: the same weights, metrics and order of samples, bit for bit."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from omegaconf import DictConfig

from seqlab import train as training
from seqlab.config import config_folder
from seqlab.resume import resumed_config
from tests.train.conftest import Run, small_config

# two epochs of six batches; a checkpoint after every third step, the row of metrics after every fourth batch
TWO_EPOCHS = ("trainer.max_epochs=2", "callbacks.checkpoints.every_steps=3", "callbacks.record.every=4", "optimizer=adam")
DROPOUT = ("encoder.dropout=0.3", "encoder.num_layers=2")


class Killed(BaseException):
    """Ends a run at once, as SIGKILL would: nothing of it is handled."""


class Seen(Callback):
    """Notes which samples each step has seen, with its number, and ends the run after `kill_at` batches."""

    def __init__(self, kill_at: int | None = None, hook: str = "on_before_zero_grad", stop: signal.Signals | None = None) -> None:
        self.batches: dict[int, str] = {}
        self.kill_at, self.stop = kill_at, stop

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        number = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        self.batches[number] = hashlib.sha256(batch.inputs.numpy().tobytes() + batch.targets.numpy().tobytes()).hexdigest()
        if self.kill_at == number:
            if self.stop is None:
                raise Killed
            os.kill(os.getpid(), self.stop)


class Trial:
    """Runs of one config: the one that is never stopped, and others that are."""

    def __init__(self, folder: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.config, self.monkeypatch = folder, config, monkeypatch
        self.make = training.build_trainer
        self.whole = self.train("whole", Seen())

    def train(self, name: str, seen: Seen, *changes: str) -> dict[int, str]:
        """A run in its directory, gone on with when there is one. Returns what each batch was."""
        directory = self.folder / name
        resuming = (directory / "config.yaml").exists()

        def build(*arguments: Any) -> Any:
            trainer: Any = self.make(*arguments)
            trainer.callbacks[:0] = [seen]
            return trainer

        self.monkeypatch.setattr(training, "build_trainer", build)
        random.seed(int.from_bytes(os.urandom(4)))  # what the process has drawn before must not matter
        np.random.seed(int.from_bytes(os.urandom(4)))
        config = resumed_config(directory, small_config(*changes), changes) if resuming else self.config
        training.train(config, directory, [*changes], resuming)
        return seen.batches

    def killed_at(self, *steps: int, stop: signal.Signals | None = None) -> None:
        """Kill a run before the end of these batches, one after the other, go on each time, and compare with the whole run."""
        name = f"killed{'-'.join(map(str, steps))}{stop or ''}"
        batches: dict[int, str] = {}
        for step in steps:
            seen = Seen(step, stop=stop)
            with self.monkeypatch.context() as patch:
                if stop is None:  # a killed process writes no records
                    patch.setattr(training, "write_records", lambda *arguments: {})
                with pytest.raises((Killed, SystemExit)):
                    self.train(name, seen)
            batches |= seen.batches
        batches |= self.train(name, Seen())
        self.compare(name, batches)

    def compare(self, name: str, batches: dict[int, str]) -> None:
        """Assert that a run is the whole run."""
        assert batches == self.whole
        run, whole = Run(self.folder / name, None), Run(self.folder / "whole", None)
        for kept in ("last", "best"):
            assert digest(run.checkpoint(kept)) == digest(whole.checkpoint(kept)), f"{kept}.ckpt of {name}"
        assert (run.directory / "metrics.csv").read_text() == (whole.directory / "metrics.csv").read_text()
        assert run.summary["metrics"] == whole.summary["metrics"]
        assert {key: run.summary[key] for key in ("steps", "epochs", "best_step")} == {key: whole.summary[key] for key in ("steps", "epochs", "best_step")}


def digest(checkpoint: dict[str, Any]) -> str:
    """Of everything in a checkpoint that a training goes on from: weights, optimizer, schedule, averages, random numbers."""
    held = {key: checkpoint[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "resume", "loops")}
    held |= {key: checkpoint[key] for key in ("current_model_state", "averaging_state") if key in checkpoint}
    for part in ("fit_loop",):
        held["loops"] = {key: value for key, value in checkpoint["loops"][part].items() if "batch_progress" in key or "epoch_progress" in key}
    return repr(plain(held))


def plain(thing: Any) -> Any:
    if isinstance(thing, torch.Tensor):
        return str(thing.dtype), tuple(thing.shape), hashlib.sha256(thing.contiguous().numpy().tobytes()).hexdigest()
    if isinstance(thing, dict):
        return {key: plain(value) for key, value in thing.items()}
    return [plain(value) for value in thing] if isinstance(thing, list | tuple) else thing


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trial]:
    training.quiet_libraries()
    return lambda *options: Trial(tmp_path, small_config(*TWO_EPOCHS, *options), monkeypatch)


ALL_AT_ONCE = (
    *("trainer.accumulate_grad_batches=2", "callbacks=[default,ema]", "callbacks.ema.decay=0.5", "callbacks.checkpoints.every_steps=1"),
    *("schedule=plateau", "schedule.patience=0", "schedule.threshold=0.9", "trainer.val_check_interval=4"),
)


@pytest.mark.parametrize(
    "options",
    [
        ALL_AT_ONCE,
        pytest.param((), marks=pytest.mark.slow),
        pytest.param(("trainer.accumulate_grad_batches=4", "callbacks.checkpoints.every_steps=1"), marks=pytest.mark.slow),
        pytest.param(("callbacks=[default,ema]", "callbacks.ema.decay=0.5"), marks=pytest.mark.slow),
        pytest.param(("schedule=plateau", "schedule.patience=0", "schedule.threshold=0.9", "trainer.val_check_interval=2"), marks=pytest.mark.slow),
        pytest.param(("trainer.max_epochs=-1", "trainer.max_steps=10", "schedule=cosine"), marks=pytest.mark.slow),
        pytest.param(("trainer.check_val_every_n_epoch=2",), marks=pytest.mark.slow),
        pytest.param(("callbacks=[default,early_stopping]", "callbacks.early_stopping.patience=1", "optimizer.lr=1"), marks=pytest.mark.slow),
        pytest.param(("overfit=3", "trainer.max_epochs=4"), marks=pytest.mark.slow),
        pytest.param(("data.num_workers=2",), marks=pytest.mark.slow),
    ],
    ids=["all", "plain", "accumulation", "ema", "plateau", "steps", "rare validation", "early stopping", "overfit", "workers"],
)
def test_killed_and_killed_again_it_is_the_same_run(options: tuple[str, ...], trial: Callable[..., Trial]) -> None:
    """In the middle of an epoch, and at the start of the next; with dropout and shuffling."""
    trial(*DROPOUT, *options).killed_at(5, 7)


@pytest.mark.slow
def test_killed_at_every_batch(trial: Callable[..., Trial]) -> None:
    made = trial(*DROPOUT)
    for step in range(1, 13):
        made.killed_at(step)


def test_sigterm_saves_the_step_under_way(trial: Callable[..., Trial]) -> None:
    """Where a validation is due in the middle of accumulation, and in the next epoch."""
    made = trial(*DROPOUT, "trainer.accumulate_grad_batches=3", "trainer.val_check_interval=2", "callbacks.checkpoints.every_steps=100")
    for step in (4, 7):
        made.killed_at(step, stop=signal.SIGTERM)


def test_streams_go_on_with_the_state_they_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training.quiet_libraries()
    text = tmp_path / "text.txt"
    text.write_text("".join(random.Random(0).choices("abcd ", k=600)), encoding="utf-8")
    options = ("experiment=char_lm", f"data.path={text}", "data.batch_size=4", "data.chunk_length=8", "encoder.num_layers=1", "cell.hidden_size=4")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose(
            "train", [*options, *TWO_EPOCHS, "encoder.dropout=0.2", "executor=loop", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"]
        )
    Trial(tmp_path, config, monkeypatch).killed_at(5, 19)
