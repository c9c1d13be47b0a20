"""What a run on classes leaves: the matrix and the table of the test, weights of classes, and weights for another run."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from seqlab.config import config_folder
from seqlab.evaluate import evaluate
from seqlab.train import train
from tests.train.conftest import Run

SMALL = (
    *("experiment=temporal_order", "data.min_length=20", "data.max_length=24", "data.num_train=40", "data.num_val=20", "data.num_test=30"),
    *("data.batch_size=20", "cell=gru", "cell.hidden_size=4", "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"),
)


@pytest.fixture
def classes(tmp_path: Path) -> Callable[..., Run]:
    """classes("key=value", …) trains a small classifier in a directory of its own."""
    numbers = itertools.count()

    def start(*overrides: str) -> Run:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = compose("train", [*SMALL, *overrides])
        directory = tmp_path / f"run{next(numbers)}"
        return Run(directory, train(config, directory, list(overrides)))

    return start


def test_the_test_is_summed_up_by_class(classes: Callable[..., Run]) -> None:
    done = classes("task.class_weights=balanced", "frontend.normalise=true")
    table = done.summary["classes"]
    assert len(table) == 4
    assert sum(row["count"] for row in table) == 30
    assert sum(row["recall"] * row["count"] for row in table) / 30 == pytest.approx(done.summary["metrics"]["test/accuracy"])
    assert (done.directory / "confusion_matrix.png").stat().st_size > 5000
    picture = done.directory.parent / "again.png"
    again = evaluate(done.directory, picture=picture)
    assert again["test/loss"] == done.summary["metrics"]["test/loss"]  # weights and normalisation come from the checkpoint
    assert picture.read_bytes() == (done.directory / "confusion_matrix.png").read_bytes()
    with pytest.raises(ValueError, match=r"again\.png cannot be written"):
        evaluate(done.directory, picture=picture.parent / "no" / "again.png")


def test_a_run_starts_from_another(classes: Callable[..., Run]) -> None:
    first = classes()
    again = classes(f"init_from={first.directory}", "optimizer.lr=0")
    assert again.summary["init_from"]["left"] == {}
    assert again.summary["metrics"]["test/loss"] == pytest.approx(first.summary["metrics"]["test/loss"])
    with pytest.raises(ValueError, match=r"init_from is .* and ckpt_path .*; expected one of them"):
        classes(f"init_from={first.directory}", f"ckpt_path={first.directory}/checkpoints/best.ckpt")
