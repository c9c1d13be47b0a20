"""The language model experiments as a whole: trained for a few steps, tested again, and made to write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from seqlab.cli import main
from seqlab.config import config_folder
from seqlab.runs import load_run
from seqlab.train import train
from tests.text_runs import SMALL, TEXT
from tests.train.conftest import Run

QUICK = [*SMALL, f"data.path={TEXT / 'harbour.txt'}", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "trainer.max_epochs=1"]


@pytest.mark.parametrize(
    ("overrides", "metrics"),
    [
        (["experiment=char_lm", "data.batch_size=4", "data.chunk_length=16"], {"loss", "perplexity", "bits_per_character"}),
        (
            ["experiment=char_lm", f"data.path={TEXT / 'comments.csv'}", "data.column=body", "data.fractions=[0.6,0.2,0.2]"],
            {"loss", "perplexity", "bits_per_character"},
        ),
        (["experiment=word_lm", "data.batch_size=4", "cell=gru"], {"loss", "perplexity"}),
    ],
)
def test_train_evaluate_and_write(tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], metrics: set[str]) -> None:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [*QUICK, *overrides])
    run = Run(tmp_path / "run", train(config, tmp_path / "run", overrides))
    shown = capsys.readouterr().out
    assert "the model writes, at temperature 0.8:" in shown
    assert "perplexity" in shown
    assert {name.removeprefix("test/") for name in run.summary["metrics"] if name.startswith("test/")} == metrics
    assert {"spec.json", "vocabulary.json"} <= {file.name for file in run.directory.iterdir()}
    assert load_run(run.directory).spec.output_size == load_run(run.directory).task.model.head.output_size
    assert main(["evaluate", f"run={run.directory}"]) == 0
    capsys.readouterr()
    assert main(["generate", f"run={run.directory}", "prompt=The", "length=9"]) == 0
    assert capsys.readouterr().out.startswith("The")
