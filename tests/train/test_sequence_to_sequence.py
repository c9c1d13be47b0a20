"""Runs that write sequences, from their config to the answers for new text; every cell may read or write."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from seqlab.config import config_folder
from seqlab.evaluate import evaluate
from seqlab.predict import predict
from seqlab.train import train
from tests.train.conftest import Run

SIZES = ("cell.hidden_size=4", "frontend.embedding_size=4", "head.embedding_size=4", "trainer.max_epochs=1", "data.batch_size=8", "executor=loop")
SMALL = ("data.num_train=16", "data.num_val=8", "data.num_test=8", "data.max_length=5", "data.test_max_length=7")


@pytest.fixture
def writes(tmp_path: Path) -> Callable[..., Run]:
    """writes("key=value", …) trains a small model in a directory of its own."""
    numbers = itertools.count()

    def start(*overrides: str) -> Run:
        directory = tmp_path / f"run{next(numbers)}"
        places = (f"callbacks.attention.directory={directory}", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false")
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = compose("train", ["experiment=reverse", *SIZES, *overrides, *places])
        return Run(directory, train(config, directory, list(overrides)))

    return start


def test_a_run_is_tested_drawn_and_evaluated_again(writes: Callable[..., Run]) -> None:
    done = writes(*SMALL, "task.beam.size=2", "task.beam.length_penalty=0.6")
    metrics = done.summary["metrics"]
    assert {"test/loss", "test/exact_match", "test/symbol_error_rate"} <= set(metrics)
    assert (done.directory / "attention.png").stat().st_size > 1000
    assert evaluate(done.directory)["test/loss"] == metrics["test/loss"]


@pytest.mark.parametrize(
    "choices",
    [("attention=none", "cell=lstm", "head.layers.num_layers=2"), ("attention=location", "cell=min_gru"), ("attention=general", "head.input_feeding=true")],
    ids=" ".join,
)
def test_choices_are_made_on_the_command_line(writes: Callable[..., Run], choices: tuple[str, ...]) -> None:
    assert writes(*SMALL, *choices, "task.teacher_forcing.schedule=linear", "task.teacher_forcing.k=1").summary["status"] == "finished"


def test_a_translator_answers_line_for_line(writes: Callable[..., Run], tmp_path: Path) -> None:
    pairs, new, output = tmp_path / "pairs.tsv", tmp_path / "new.txt", tmp_path / "out.txt"
    pairs.write_text("a dog runs .\tein Hund rennt .\ntwo cats\tzwei Katzen\n" * 4, encoding="utf-8")
    new.write_text("a cat\n\ntwo dogs run\n", encoding="utf-8")
    done = writes("data=parallel_text", f"data.train={pairs}", f"data.val={pairs}", f"data.test={pairs}", "data.num_merges=5")
    predicted = predict(done.directory, new, output)
    assert (predicted.answered, predicted.blank) == (2, 1)
    lines = output.read_text(encoding="utf-8").split("\n")
    assert len(lines) == 4
    assert lines[1] == ""
