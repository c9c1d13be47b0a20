"""Speech and strings of digits as their users train, evaluate and predict them, on sets of our own making."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from seqlab import train as training
from seqlab.config import config_folder
from seqlab.data.wav import write_wav
from seqlab.evaluate import evaluate
from seqlab.export.formats import export
from seqlab.predict import predict
from tests.data.spoken_sets import RATE, write_fsdd, write_mnist, write_spoken

FAST = ["trainer.enable_progress_bar=false", "trainer.accelerator=cpu", "trainer.max_epochs=1", "cell.hidden_size=6", "logger=none"]
STRINGS = ["data.num_train=8", "data.num_val=3", "data.num_test=4", "data.batch_size=4", "data.max_digits=4"]


def train_small(directory: Path, *overrides: str) -> dict[str, Any]:
    """The summary of a run."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [*FAST, *overrides])
    if "alignment" in config.callbacks:
        config.callbacks.alignment.directory = str(directory)
    training.train(config, directory, list(overrides))
    return json.loads((directory / "summary.json").read_text(encoding="utf-8"))


def test_spoken_digits_are_told_and_new_ones_answered(tmp_path: Path) -> None:
    sets = write_fsdd(tmp_path)
    summary = train_small(tmp_path / "run", "experiment=fsdd_digits", f"data.data_dir={sets}")
    assert 0 <= summary["metrics"]["test/accuracy"] <= 1
    predict(tmp_path / "run", sets / "fsdd" / "recordings", tmp_path / "said.csv")
    with open(tmp_path / "said.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    assert rows[0]["file"] == "0_anna_0.wav"
    assert rows[0]["label"] in tuple("0123456789")


def test_strings_of_spoken_digits(tmp_path: Path) -> None:
    sets = write_fsdd(tmp_path)
    summary = train_small(tmp_path / "run", "experiment=fsdd_ctc", f"data.data_dir={sets}", "data.min_digits=2", "encoder.num_layers=2", *STRINGS)
    assert {"test/wer", "test/cer", "test/exact_match", "val/wer"} <= set(summary["metrics"])
    assert (tmp_path / "run" / "alignment.png").stat().st_size > 10_000


def test_strings_in_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = write_mnist(tmp_path, monkeypatch)
    summary = train_small(tmp_path / "run", "experiment=mnist_strings", f"data.data_dir={sets}", *STRINGS)
    assert {"test/wer", "test/cer", "test/exact_match"} <= set(summary["metrics"])
    assert (tmp_path / "run" / "alignment.png").stat().st_size > 10_000
    assert evaluate(tmp_path / "run")["test/cer"] == summary["metrics"]["test/cer"]
    new = tmp_path / "new"
    new.mkdir()
    Image.new("RGB", (90, 28)).save(new / "b.png")
    Image.new("L", (40, 28)).save(new / "a.png")
    assert predict(tmp_path / "run", new, tmp_path / "read.jsonl", beam=3, num_best=2, attention=1).picture is not None
    for output, message in (
        ("a.csv", r"a\.png, where a picture of the answers would go, is the input, which would be lost"),
        ("b.png", "where the picture for"),
    ):
        with pytest.raises(ValueError, match=message):
            predict(tmp_path / "run", new / "a.png", new / output, attention=1, overwrite=True)
    rows = [json.loads(line) for line in (tmp_path / "read.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["file"] for row in rows] == ["a.png", "b.png"]
    assert all(set(row["text"]) <= set("0123456789") and len(row["hypotheses"]) == 2 for row in rows)


def test_own_recordings_are_transcribed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_spoken(tmp_path / "own", [f"{n % 3} {n % 2}{n % 3}" for n in range(12)])
    train_small(tmp_path / "run", "experiment=audio_folder", f"data.path={folder}", f"data.table={folder / 'transcripts.csv'}", "encoder.num_layers=2")
    new = write_spoken(tmp_path / "new", ["012", "0"])
    with caplog.at_level("WARNING", logger="seqlab"):
        predict(tmp_path / "run", new, tmp_path / "said.csv")
        assert "longer than any" not in caplog.text
        predict(tmp_path / "run", write_spoken(tmp_path / "long", ["0", "012012"]), tmp_path / "long.csv")
    assert "1 of 2 recordings are longer than any in training, which went up to 0.27 s; the first is" in caplog.text
    assert "long/1.wav with 0.48 s. They are answered" in caplog.text
    other = write_spoken(tmp_path / "other", [f"{3 + n % 3} {3 + n % 2}{3 + n % 3}" for n in range(12)])
    with pytest.raises(
        ValueError, match=r"transcripts\.csv, line \d+: the transcript .* has '[345]'.*, which no training transcript has; expected ' ', '0', '1', '2'\."
    ):
        evaluate(tmp_path / "run", changes=[f"data.path={other}", f"data.table={other / 'transcripts.csv'}"])
    fewer = write_spoken(tmp_path / "fewer", ["1 2"] * 12)  # in which a run of their own would take 1 for the first label
    assert {"test/wer", "test/cer"} <= set(evaluate(tmp_path / "run", changes=[f"data.path={fewer}", f"data.table={fewer / 'transcripts.csv'}"]))
    write_wav(tmp_path / "click.wav", torch.zeros(1), RATE)
    assert predict(tmp_path / "run", tmp_path / "click.wav", tmp_path / "click.csv").answered == 1
    predict(tmp_path / "run", new / "0.wav", tmp_path / "best.jsonl", beam=4, num_best=3, attention=1)
    with open(tmp_path / "said.csv", encoding="utf-8", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["0.wav", "1.wav"]
    best = json.loads((tmp_path / "best.jsonl").read_text(encoding="utf-8"))
    scores = [found["log_probability"] for found in best["hypotheses"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert best["text"] == best["hypotheses"][0]["text"]
    assert (tmp_path / "best.png").exists()
    with pytest.raises(ValueError, match="of which no graph is made"):
        export(tmp_path / "run", "torch_export", tmp_path / "model.pt2")


def test_a_decoder_with_attention_transcribes_as_well(tmp_path: Path) -> None:
    """Its symbols end with an end, which a transcript for CTC has not: one taken for the other would be nonsense that trains."""
    folder = write_spoken(tmp_path / "own", [f"{n % 3} {n % 2}{n % 3}" for n in range(12)])
    own = ("experiment=audio_folder", f"data.path={folder}", f"data.table={folder / 'transcripts.csv'}", "encoder.num_layers=2")
    listens = (*own, "task=seq2seq", "head=decoder", "attention=location", "callbacks=[default,attention]", "head.embedding_size=4")
    run = tmp_path / "run"
    places = (f"callbacks.attention.directory={run}", "task.max_extra=3")
    summary = train_small(run, *listens, *places, "data.targets=symbols")
    assert {"test/wer", "test/cer", "test/exact_match"} <= set(summary["metrics"])
    new = write_spoken(tmp_path / "new", ["012", "0"])
    predict(run, new, tmp_path / "said.csv")
    with open(tmp_path / "said.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["0.wav", "1.wav"]
    assert max(len(row["text"]) for row in rows) <= 1.5 * 14 + 3  # of 0.25 s, in 28 frames, the pyramid makes 14 steps
    predict(run, new / "0.wav", tmp_path / "best.jsonl", beam=3, num_best=2)
    assert len(json.loads((tmp_path / "best.jsonl").read_text(encoding="utf-8"))["hypotheses"]) == 2
    with pytest.raises(ValueError, match=r"targets of the kind 'transcript' but the task reads 'symbols'\. Give data\.targets=symbols"):
        train_small(tmp_path / "refused", *listens, f"callbacks.attention.directory={run}")
    with pytest.raises(ValueError, match=r"targets of the kind 'symbols' but the task reads 'transcript'\. Give data\.targets=transcript"):
        train_small(tmp_path / "refused", *own, "data.targets=symbols")
