"""`seqlab evaluate`: the figures of the test, again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seqlab import evaluate_command
from seqlab.evaluate import compare, evaluate
from tests.train.conftest import Run


@pytest.fixture
def done(run: Callable[..., Run]) -> Run:
    """A run whose best and last checkpoints differ."""
    return run("trainer.max_epochs=3", "optimizer.lr=3", "monitor=val/loss", "mode=min")


def figures(run: Run) -> dict[str, float]:
    return {name: value for name, value in run.summary["metrics"].items() if name.startswith("test/")}


def test_the_figures_are_exactly_those_of_training(done: Run) -> None:
    torch.manual_seed(123)  # nothing depends on the state of the process
    assert evaluate(done.directory) == figures(done) == evaluate(done.directory, "best")
    assert evaluate(done.directory, "last") != figures(done)
    assert compare(done.directory, evaluate(done.directory)) == f"equal to {done.directory}/summary.json."
    assert compare(done.directory, {"test/loss": 1.0}).startswith("different from ")


def test_the_last_checkpoint_is_evaluated_where_it_was_tested(run: Callable[..., Run]) -> None:
    done = run("trainer.max_epochs=3", "optimizer.lr=3", "monitor=val/loss", "mode=min", "test_best=false")
    assert evaluate(done.directory) == figures(done) == evaluate(done.directory, "last")


def test_averaged_and_float64_weights_are_those_that_were_tested(run: Callable[..., Run]) -> None:
    done = run("callbacks=[default,ema]", "callbacks.ema.decay=0.9", "trainer.precision=64-true", "test_best=false")
    assert evaluate(done.directory) == figures(done)


def test_a_run_without_classes_has_no_matrix(done: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no confusion matrix"):
        evaluate(done.directory, picture=tmp_path / "c.png")


def test_changes_take_the_place_of_the_config(done: Run) -> None:
    longer = evaluate(done.directory, changes=["data.test_num_bits=5", "trainer.limit_test_batches=1"])
    assert longer["test/loss"] != figures(done)["test/loss"]
    with pytest.raises(ValueError, match=r"no key of 'data' is named 'test_num_bit'\. Did you mean 'test_num_bits'"):
        evaluate(done.directory, changes=["data.test_num_bit=5"])
    with pytest.raises(ValueError, match=r"'data\.test_num_bits' has no value"):
        evaluate(done.directory, changes=["data.test_num_bits"])


def test_nothing_in_a_run_directory_is_run(done: Run) -> None:
    path = done.directory / "config.yaml"
    path.write_text(path.read_text().replace("seqlab.data.binary_addition.BinaryAddition", "os.system"))
    with pytest.raises(ValueError, match=r"names 'os\.system' under data"):
        evaluate(done.directory)


def test_what_is_missing_or_damaged_is_named(done: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere does not exist; expected a directory that `seqlab train` made"):
        evaluate(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"first\.ckpt does not exist\. Beside it lie: best, last, previous\."):
        evaluate(done.directory, "first")
    best = done.directory / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"best\.ckpt of .* is cut short"):
        evaluate(done.directory)


def test_the_command_prints_figures(done: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate_command.main([f"run={done.directory}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == figures(done)
    assert evaluate_command.main([f"run={done.directory}"]) == 0
    shown = capsys.readouterr().out
    assert "exact_match" in shown
    assert f"equal to {done.directory}/summary.json" in shown
    assert evaluate_command.main(["--help"]) == 0
    assert "checkpoint=NAME" in capsys.readouterr().out


def test_the_command_says_what_is_near(done: Run) -> None:
    with pytest.raises(ValueError, match=r"no option of evaluate is named 'chekpoint'\. Did you mean 'checkpoint'"):
        evaluate_command.main([f"run={done.directory}", "chekpoint=last"])
    with pytest.raises(ValueError, match="run is missing"):
        evaluate_command.main([])
    with pytest.raises(ValueError, match="'run' has no value"):
        evaluate_command.main(["run"])
    with pytest.raises(ValueError, match="'checkpoint' is given twice"):
        evaluate_command.main([f"run={done.directory}", "checkpoint=last", "checkpoint=best"])
