"""What cannot be trained is refused in words, before anything is written, and nothing already there is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seqlab.config import check_whole
from seqlab.data.base import TensorSplit
from seqlab.data.binary_addition import BinaryAddition
from tests.train.conftest import Run, small_config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.num_pairs=0"], "the train split of BinaryAddition is empty; expected at least one sequence"),
        (["head.dropout=1.0"], r"head dropout is 1\.0; expected a probability in \[0, 1\)"),
        (["frontend.dropout=-0.1"], r"frontend dropout is -0\.1"),
        (["encoder.dropout=1.5"], r"dropout is 1\.5"),
        (["data.batch_size=0"], "batch_size is 0; expected at least 1"),
        (["callbacks.record.every=0"], r"callbacks\.record\.every is 0"),
        (["mode=least"], "no mode is named 'least'"),
        (["monitor=val/loss"], "monitor is val/loss with mode=max, so that its worst value would count as the best. Give mode=min"),
        (["mode=min"], "monitor is val/exact_match with mode=min, .* Give mode=max"),
        (["schedule=plateau", "schedule.monitor=val/bit_f1"], r"schedule\.monitor is val/bit_f1 with schedule\.mode=min, .* Give schedule\.mode=max"),
        (["seed=abc"], r"seed is 'abc'; expected a whole number from 0 to 4294967295\. Give seed=N"),
        (["seed=-1"], "seed is -1; expected a whole number"),
        (["seed=true"], "seed is True; expected a whole number"),
        (["tags=a"], r"tags is 'a'; expected a list of words\. Write tags=\[one,two\], for a single one tags=\[one\]"),
        (["plugins=mine.py"], r"plugins is 'mine\.py'; expected a list of files\. Write plugins=\[FILE\]"),
        (["trainer.gradient_clip_val=0"], r"gradient_clip_val is 0; expected a number above 0\. For no clipping give trainer\.gradient_clip_val=null"),
        (["trainer.gradient_clip_val=-1"], "gradient_clip_val is -1; expected a number above 0"),
        (["tags=[[a]]"], r"tags is \[\['a'\]\]; expected a list of words"),
        (["cell.hidden_size=0"], "hidden_size of cell 'rnn' is 0; expected a whole number of at least 1"),
        (["encoder.merge=sum"], r"merge is 'sum' but bidirectional is False; expected two directions to merge"),
        (["trainer.accelerator=gpu"], r"trainer\.accelerator is 'gpu' but torch .* sees no GPU\. Use trainer=cpu"),
        (["schedule=cosine", "trainer.max_epochs=-1"], "needs the length of the training, which has no end"),
    ],
)
def test_a_config_that_cannot_be_trained(overrides: list[str], message: str, run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(Exception, match=message):
        run(*overrides, directory=tmp_path / "run")
    if "schedule=cosine" not in overrides:  # known only once the trainer has its data
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("key", "remedy"), [("logger", "choose logger=none"), ("schedule", "choose schedule=none"), ("monitor", "give monitor=VALUE")])
def test_a_key_that_was_taken_away_is_named(key: str, remedy: str) -> None:
    check_whole(small_config())
    with pytest.raises(ValueError, match=f"the config has no {key}, as if by ~{key}; .* {remedy}"):
        check_whole(small_config(f"~{key}"))


def test_an_empty_validation_split(run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = BinaryAddition.setup

    def setup(self: BinaryAddition, stage: str | None = None) -> None:
        honest(self, stage)
        self.splits["val"] = TensorSplit(torch.zeros(0, 3, 2), torch.zeros(0, 3, 1))

    monkeypatch.setattr(BinaryAddition, "setup", setup)
    with pytest.raises(ValueError, match="the val split of BinaryAddition is empty; expected at least one sequence"):
        run(directory=tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_checkpoint_that_cannot_be_written_stops_the_run_and_keeps_the_one_before(
    run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqlab import checkpoint

    honest, calls = torch.save, []

    def full_disk(content: object, file: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        honest(content, file)

    monkeypatch.setattr(checkpoint.torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        run("trainer.max_epochs=3", directory=tmp_path / "run")
    left = Run(tmp_path / "run", None)
    assert left.checkpoint("last")["global_step"] == left.checkpoint("best")["global_step"] == 6
    assert left.summary["status"] == "failed"
    assert len(left.column("train/loss")) == 12
