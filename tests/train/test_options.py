"""Averaged weights, early stopping, precision, the debug presets, and starting from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from omegaconf import OmegaConf

from seqlab.config import config_folder
from seqlab.tasks import BitLabelling
from tests.train.conftest import Run


class Trace(Callback):
    """Keeps the weights after each step and the weights that each validation and test saw."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []
        self.seen: dict[str, list[dict[str, torch.Tensor]]] = {"val": [], "test": []}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
        self.steps.append(weights(pl_module))

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
        self.seen["val"].append(weights(pl_module))

    def on_test_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
        self.seen["test"].append(weights(pl_module))


def weights(task: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in task.state_dict().items()}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-15)  # float64: rounding alone


def test_averaged_weights_are_validated_tested_and_saved(run: Callable[..., Run]) -> None:
    options = ["callbacks=[default,ema]", "callbacks.ema.decay=0.7", "trainer.max_epochs=2", "trainer.precision=64-true"]
    trace = Trace()
    done = run(*options, watch=trace)
    average, by_step = trace.steps[0], []
    for after in trace.steps:
        average = {name: 0.7 * average[name] + 0.3 * after[name] for name in after}
        by_step.append(average)
    assert_same(trace.seen["val"][0], by_step[5])
    assert_same(trace.seen["val"][1], by_step[11])
    last, best = done.checkpoint("last"), done.checkpoint("best")
    assert_same(last["state_dict"], by_step[11])
    assert_same(last["current_model_state"], trace.steps[11])  # so that the training can go on from it
    assert done.summary["best_step"] in (6, 12)
    assert_same(best["state_dict"], by_step[done.summary["best_step"] - 1])
    assert_same(trace.seen["test"][0], best["state_dict"])
    assert all(not torch.equal(last["state_dict"][name], trace.steps[11][name]) for name in average)


def test_averaging_leaves_whole_numbers_and_begins_when_it_is_told(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = BitLabelling.__init__

    def with_table(self: BitLabelling, *args: Any, **kwargs: Any) -> None:
        honest(self, *args, **kwargs)
        self.register_buffer("table", torch.arange(60))

    monkeypatch.setattr(BitLabelling, "__init__", with_table)
    trace = Trace()
    options = ["callbacks=[default,ema]", "callbacks.ema.decay=0.9", "callbacks.ema.update_starting_at_step=8", "trainer.max_epochs=2"]
    run(*options, "trainer.precision=64-true", watch=trace)
    assert trace.seen["val"][1]["table"].tolist() == list(range(60))
    assert_same(trace.seen["val"][0], trace.steps[5])  # not the weights before training
    average = trace.steps[7]
    for after in trace.steps[8:]:
        average = {name: 0.9 * average[name] + 0.1 * after[name] for name in after}
    assert_same({**trace.seen["val"][1], "table": average["table"]}, average)


def test_early_stopping_counts_validations_without_gain(run: Callable[..., Run]) -> None:
    """At rate 0 nothing gets better after the first validation."""
    done = run("callbacks=[default,early_stopping]", "callbacks.early_stopping.patience=3", "optimizer.lr=0", "trainer.max_epochs=50")
    assert done.summary["epochs"] == 4
    assert done.summary["best_step"] == 6


def test_dropout_acts_in_training_alone(run: Callable[..., Run]) -> None:
    """Without a step of the optimizer the loss of a batch differs by dropout alone."""
    still = ["optimizer.lr=0", "data.num_pairs=4", "trainer.max_epochs=3"]
    assert len(set(run(*still, "head.dropout=0.5").column("train/loss"))) > 1
    assert len(set(run(*still, "head.dropout=0.5").column("val/loss"))) == 1
    assert run(*still).column("train/loss") == pytest.approx([run(*still).column("train/loss")[0]] * 3, rel=1e-6)  # float32, rows in another order


@pytest.mark.parametrize("executor", ["loop", "native"])
def test_bf16_computes_in_bfloat16_and_keeps_float32_weights(executor: str, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    project = torch.nn.functional.linear

    def watch(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        y = project(x, *rest)
        if torch.is_autocast_enabled("cpu"):  # the lines that close a run are computed without
            seen.add(y.dtype)
        return y

    monkeypatch.setattr(torch.nn.functional, "linear", watch)
    done = run("cell=rnn", "cell.hidden_size=8", f"executor={executor}", "trainer.precision=bf16-mixed", "trainer.max_steps=2")
    assert seen == {torch.bfloat16}
    assert {value.dtype for value in done.checkpoint("last")["state_dict"].values()} == {torch.float32}
    assert done.summary["executors"]["encoder.parts.0"]["executor"] == executor
    full = run("cell=rnn", "cell.hidden_size=8", f"executor={executor}", "trainer.max_steps=2")
    assert done.column("train/loss") == pytest.approx(full.column("train/loss"), rel=0.02)  # bfloat16 has 8 bits: 0.4 % a number
    assert done.column("train/loss") != full.column("train/loss")


def test_overfit_drives_the_loss_of_one_batch_down(run: Callable[..., Run]) -> None:
    done = run("debug=overfit", "cell=lstm", "cell.hidden_size=16", "optimizer=adam", "optimizer.lr=0.05", "task.loss=cross_entropy", "task.reduction=mean")
    losses = done.column("train/loss")
    assert done.summary["steps"] == len(losses) == 200  # one batch an epoch, the same each time
    assert losses[-1] < 0.02 * losses[0]
    assert done.summary["metrics"]["test/exact_match"] == 1  # of that batch
    assert done.summary["tags"] == ["debug"]


@pytest.mark.parametrize("experiment", ["multi30k_en_de", "fsdd_ctc", "babi"])
def test_overfit_watches_a_metric_that_single_batches_have(experiment: str) -> None:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [f"experiment={experiment}", "debug=overfit"])
    assert (config.monitor, config.mode) == ("val/loss", "min")


def test_fast_takes_a_few_batches_of_everything(run: Callable[..., Run]) -> None:
    done = run("debug=fast", "data.eval_batch_size=2", "trainer.max_epochs=1")
    assert done.summary["steps"] == 3
    assert {"train/loss", "val/loss", "test/loss"} <= done.summary["metrics"].keys()
    config = OmegaConf.load(done.directory / "config.yaml")
    assert (config.trainer.limit_val_batches, config.trainer.limit_test_batches) == (2, 2)


def test_seed_decides_weights_and_data(run: Callable[..., Run]) -> None:
    one, same, other = run("seed=1"), run("seed=1"), run("seed=2")
    assert one.rows == same.rows
    assert one.column("train/loss") != other.column("train/loss")


def test_a_run_starts_from_a_checkpoint_with_optimizer_and_schedule(run: Callable[..., Run]) -> None:
    """An epoch, and a second one from its checkpoint, are two epochs."""
    options = ["optimizer=adam", "schedule=step", "schedule.every=4", "schedule.unit=step", "trainer.precision=64-true"]
    both = run(*options, "trainer.max_epochs=2")
    first = run(*options, "trainer.max_epochs=1")
    second = run(*options, "trainer.max_epochs=2", f"ckpt_path={first.directory}/checkpoints/last.ckpt")
    assert [int(row["step"]) for row in second.rows] == [7, 8, 9, 10, 11, 12]
    assert second.column("train/loss") == both.column("train/loss")[6:]
    assert second.column("learning_rate") == both.column("learning_rate")[6:]
    assert_same(second.checkpoint("last")["state_dict"], both.checkpoint("last")["state_dict"])
    assert second.summary["metrics"]["val/loss"] == both.column("val/loss")[-1]  # its own best, not one it has no file of


def test_a_finished_checkpoint_says_that_nothing_is_left_to_train(run: Callable[..., Run], caplog: pytest.LogCaptureFixture) -> None:
    first = run()
    again = run(f"ckpt_path={first.directory}/checkpoints/last.ckpt")
    assert "nothing was trained" in caplog.text
    assert "trainer.max_epochs" in caplog.text
    assert again.summary["steps"] == 6
