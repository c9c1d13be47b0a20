"""Runs that write sequences, from their config to the answers for new text; every cell may read or write."""

from __future__ import annotations

import itertools
import json
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


def test_a_run_is_tested_drawn_evaluated_again_and_asked(writes: Callable[..., Run], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    done = writes(*SMALL, "task.beam.size=2", "task.beam.length_penalty=0.6")
    metrics = done.summary["metrics"]
    assert {"test/loss", "test/exact_match", "test/symbol_error_rate"} <= set(metrics)
    assert (done.directory / "attention.png").stat().st_size > 1000
    assert evaluate(done.directory)["test/loss"] == metrics["test/loss"]
    new = tmp_path / "new.txt"
    new.write_bytes(b"abc\r\n\r\nabcdefgh\r\n")
    with caplog.at_level("WARNING", logger="seqlab"):
        assert predict(done.directory, new, tmp_path / "out.txt", num_best=2).blank == 1
    assert f"1 of 3 strings are longer than any in training, which went up to 5 symbols; the first is {new}, line 3 with 8 symbols." in caplog.text
    lines = (tmp_path / "out.txt").read_text(encoding="utf-8").split("\n")
    assert [line.count("\t") for line in lines] == [1, 0, 1, 0]
    new.write_text("abc\nab c\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"new\.txt, line 2: ' ' is no letter that the model knows"):
        predict(done.directory, new, tmp_path / "refused.txt")


@pytest.mark.parametrize(
    "choices",
    [("attention=none", "cell=lstm", "head.layers.num_layers=2"), ("attention=location", "cell=min_gru"), ("attention=general", "head.input_feeding=true")],
    ids=" ".join,
)
def test_choices_are_made_on_the_command_line(writes: Callable[..., Run], choices: tuple[str, ...]) -> None:
    assert writes(*SMALL, *choices, "task.teacher_forcing.schedule=linear", "task.teacher_forcing.k=1").summary["status"] == "finished"


def test_a_translator_answers_line_for_line(writes: Callable[..., Run], tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a dog runs .\tein Hund rennt .\ntwo cats\tzwei Katzen\n" * 4, encoding="utf-8")
    translator = writes("data=parallel_text", f"data.train={pairs}", f"data.val={pairs}", f"data.test={pairs}", "data.num_merges=5")
    metrics = translator.summary["metrics"]
    assert {"test/bleu", "test/chrf", "test/wer", "test/cer", "val/bleu"} <= set(metrics)
    assert translator.summary["signatures"]["bleu"] == "nrefs:1|case:mixed|eff:no|tok:13a|smooth:none"
    pairs.write_text("two cats\tzwei Katzen\n" * 2 + "a dog runs .\tein Hund rennt .\n" * 2, encoding="utf-8")  # its ids are of its training text
    assert evaluate(translator.directory)["test/chrf"] == pytest.approx(metrics["test/chrf"])
    new, output = tmp_path / "new.txt", tmp_path / "out.txt"
    new.write_text("a cat\n\ntwo dogs run\n", encoding="utf-8")
    predicted = predict(translator.directory, new, output)
    assert (predicted.answered, predicted.blank, predicted.picture) == (2, 1, None)
    lines = output.read_text(encoding="utf-8").split("\n")
    assert len(lines) == 4
    assert lines[1] == ""
    best = predict(translator.directory, new, tmp_path / "best.jsonl", beam=4, num_best=3, attention=1)
    rows = [json.loads(line) if line else None for line in (tmp_path / "best.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert rows[1] is None
    assert [len(row["hypotheses"]) for row in (rows[0], rows[2])] == [3, 3]
    scores = [found["score"] for found in rows[0]["hypotheses"]]
    assert scores == sorted(scores, reverse=True)
    assert rows[0]["text"] == rows[0]["hypotheses"][0]["text"]
    assert best.picture is not None
    assert best.picture.stat().st_size > 1000
    for options, message in (
        ({"beam": 1000}, "beam size is 1000 but the vocabulary has"),
        ({"beam": 2, "num_best": 3}, "num_best is 3; expected 1..2"),
        ({"num_best": 0}, "num_best is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            predict(translator.directory, new, tmp_path / "refused.txt", **options)


def test_what_looks_at_nothing_is_not_drawn(writes: Callable[..., Run], tmp_path: Path) -> None:
    new = tmp_path / "new.txt"
    new.write_text("abc\n", encoding="utf-8")
    blind = writes(*SMALL, "attention=none")
    with pytest.raises(ValueError, match="was trained without attention"):
        predict(blind.directory, new, tmp_path / "out.txt", attention=1)


def test_a_reader_answers_questions(writes: Callable[..., Run], tmp_path: Path) -> None:
    file = tmp_path / "asked.jsonl"
    rows = [{"context": f"Mary is {place}. John sleeps.", "question": "Where is Mary?", "answer": place} for place in ("out", "in")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows * 4), encoding="utf-8")
    done = writes("data=question_answer", f"data.train={file}", f"data.val={file}", f"data.test={file}", "frontend=sentences", "task.max_ratio=0")
    assert "test/bleu" not in done.summary["metrics"]
    assert (done.directory / "attention.png").stat().st_size > 1000
    assert predict(done.directory, file, tmp_path / "out.txt").answered == 8
    assert (tmp_path / "out.txt").read_text(encoding="utf-8").count("\n") == 8
