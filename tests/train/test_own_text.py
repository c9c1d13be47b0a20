"""Tagged text of one's own as a whole: trained on for a few steps, summed up, tested again, and new text answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from seqlab.config import config_folder
from seqlab.evaluate import evaluate
from seqlab.predict import predict
from seqlab.train import train
from tests.data.own_sets import write
from tests.train.conftest import Run

SMALL = ["cell.hidden_size=4", "frontend.embedding_size=3", "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"]


def test_from_reading_to_the_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "a.conll", "Anna B-per\nLee I-per\nsings O\n\nin O\nOslo B-loc\n\n" * 10)
    overrides = ["experiment=conll", f"data.path={source}", "data.batch_tokens=10", "executor=loop", *SMALL]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", overrides)
    done = Run(tmp_path / "run", train(config, tmp_path / "run", overrides))
    assert done.summary["duplicates"] == {"val in train": 2, "test in train": 2, "test in val": 2}
    assert any(line.startswith("Anna/") for line in capsys.readouterr().out.split("\n")), "the run shows what it answers"
    assert evaluate(done.directory)["test/loss"] == done.summary["metrics"]["test/loss"]
    predict(done.directory, write(tmp_path / "new.txt", "Anna\nsings\n\nNn\n"), tmp_path / "new.conll")
    lines = (tmp_path / "new.conll").read_text(encoding="utf-8").split("\n")
    assert [line.split(" ")[0] for line in lines] == ["Anna", "sings", "", "Nn", ""]
    assert all(line.split(" ")[1] in ("O", "B-per", "I-per", "B-loc") for line in lines if line)
    assert (tmp_path / "new.png").stat().st_size > 1000
