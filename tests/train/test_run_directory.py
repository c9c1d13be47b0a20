"""What a run leaves behind, and that it can be had again from it."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from seqlab import run_directory
from seqlab import train as training
from seqlab.evaluate import compare, evaluate
from tests.train.conftest import Run


def test_a_run_directory_holds_all_that_is_promised(run: Callable[..., Run], pictures: None) -> None:
    done = run("trainer.max_epochs=2", "tags=[one,two]")
    held = {str(path.relative_to(done.directory)) for path in done.directory.rglob("*") if path.is_file()}
    promised = {"config.yaml", "overrides.yaml", "metrics.csv", "summary.json", "learning_curve.png", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}
    promised |= {"spec.json", "fingerprint.json", "checkpoints/previous.ckpt", *(f"checkpoints/{name}.ckpt.sha256" for name in ("best", "last", "previous"))}
    assert held == promised  # and nothing besides: no temporary file, no folder of a library's own
    summary = done.summary
    assert summary["status"] == "finished"
    assert summary["steps"] == 12
    assert summary["epochs"] == 2
    assert summary["tags"] == ["one", "two"]
    assert summary["parameters"] == 16 * 2 + 16 * 16 + 16
    assert summary["executors"] == {"encoder.parts.0": {"executor": "loop", "reason": "executor='loop' was asked for"}}
    assert summary["peak_memory_mb"] > 1
    assert summary["seconds"] > 0
    assert summary["tokens_per_second"] == pytest.approx(summary["steps_per_second"] * 4 * 3)  # 4 pairs of 3 bits in a step
    assert summary["versions"]["torch"] == torch.__version__
    assert {"git_commit", "git_commit_working_directory", "device", "precision", "seed"} <= summary.keys()
    assert OmegaConf.load(done.directory / "overrides.yaml") == ["trainer.max_epochs=2", "tags=[one,two]"]


def test_metrics_csv_has_a_row_for_each_step_in_order(run: Callable[..., Run]) -> None:
    done = run("trainer.max_epochs=2")
    assert [int(row["step"]) for row in done.rows] == list(range(1, 13))
    assert len(done.column("train/loss")) == 12
    validated = [int(row["step"]) for row in done.rows if row["val/loss"]]
    assert validated == [6, 12]
    assert done.summary["metrics"]["val/loss"] in done.column("val/loss")


def test_the_config_of_a_run_repeats_it_elsewhere(run: Callable[..., Run], tmp_path: Path) -> None:
    first = run("trainer.max_epochs=2")
    text = (first.directory / "config.yaml").read_text(encoding="utf-8")
    assert str(tmp_path) not in text  # nothing in it is of this run alone
    config = OmegaConf.load(first.directory / "config.yaml")
    assert training.train(config, tmp_path / "again", []) == first.value
    again = Run(tmp_path / "again", None)
    assert again.rows == first.rows
    assert all(torch.equal(again.checkpoint("last")["state_dict"][name], value) for name, value in first.checkpoint("last")["state_dict"].items())


def test_the_value_returned_is_that_of_the_checkpoint_tested(run: Callable[..., Run]) -> None:
    """The rate is so high that the loss of the last epoch is worse than the one before."""
    done = run("trainer.max_epochs=3", "optimizer.lr=3", "monitor=val/loss", "mode=min")
    losses = done.column("val/loss")
    assert min(losses) < losses[-1]
    assert done.value == min(losses) == done.summary["metrics"]["val/loss"] == done.summary["monitor_value"]
    assert done.summary["best_step"] == 6 * (1 + losses.index(min(losses)))
    assert done.summary["metrics"]["test/loss"] == pytest.approx(min(losses))  # test and validation are the same 16 pairs
    last = run("trainer.max_epochs=3", "optimizer.lr=3", "monitor=val/loss", "mode=min", "test_best=false")
    assert last.value == losses[-1] == last.summary["metrics"]["val/loss"]
    assert last.summary["metrics"]["test/loss"] == pytest.approx(losses[-1])
    assert last.summary["tested"] == "last"


def test_two_runs_do_not_share_a_directory(run: Callable[..., Run], tmp_path: Path) -> None:
    first = run(directory=tmp_path / "run")
    before = {path: path.read_bytes() for path in first.directory.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"already holds a run .*hydra\.run\.dir=DIR"):
        run("seed=1", directory=tmp_path / "run")
    assert {path: path.read_bytes() for path in first.directory.rglob("*") if path.is_file()} == before


def test_a_config_that_cannot_be_built_leaves_the_directory_free(run: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"dropout is 1\.0"):
        run("head.dropout=1.0", directory=tmp_path / "run")
    assert run(directory=tmp_path / "run").summary["status"] == "finished"


def test_a_disk_that_is_full_leaves_no_half_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match=r"cannot be written: No space left on device"):
        run_directory.claim(tmp_path / "run", "seed: 0\n", "[]\n")
    assert not list((tmp_path / "run").iterdir()), "half a config would claim the directory"


def test_a_disk_that_is_full_after_the_config_leaves_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(run_directory, "write", full)
    with pytest.raises(ValueError, match="cannot be written: No space left on device"):
        run_directory.claim(tmp_path / "run", "seed: 0\n", "[]\n")
    assert not list((tmp_path / "run").iterdir())


def test_a_directory_that_cannot_be_written_is_named(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"run directory .*file/run cannot be written: .*hydra\.run\.dir=DIR"):
        run(directory=tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "in the way"


def test_writing_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    run_directory.write(path, "old")

    def fail(partial: Path) -> None:
        partial.write_text("ne")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run_directory.replace(path, fail)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]


def test_the_summary_is_strict_json_where_a_metric_is_no_number(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.Task, "derived_metrics", lambda self, loss: {"none": loss / 0 * 0, "endless": loss / 0})
    done = run()
    found = json.loads((done.directory / "summary.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert found["metrics"]["test/none"] is found["metrics"]["test/endless"] is None
    assert found["metrics"]["test/loss"] > 0
    assert compare(done.directory, evaluate(done.directory)) == f"equal to {done.directory}/summary.json."
    assert run_directory.strict_json({"a": [1.5, (float("inf"), True)]}) == json.dumps({"a": [1.5, [None, True]]}, indent=2)


def test_the_commit_is_that_of_a_checkout_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_directory.working_commit() is None
    git = lambda *words: run_directory._git(tmp_path, "-c", "user.name=n", "-c", "user.email=e", *words)  # noqa: E731
    git("init", "-q")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert commit is not None
    assert run_directory.working_commit() == commit
    (tmp_path / "file").write_text("b")
    assert run_directory.working_commit() == f"{commit}+changes"
    monkeypatch.setattr(run_directory, "__file__", str(tmp_path / "venv" / "seqlab" / "run_directory.py"))
    (tmp_path / "venv" / "seqlab").mkdir(parents=True)
    assert run_directory.seqlab_commit() is None  # installed below somebody's checkout, not part of it


def test_a_run_without_a_best_checkpoint_tests_the_last_weights(run: Callable[..., Run]) -> None:
    done = run("trainer.limit_val_batches=0")
    assert done.summary["tested"] == "last"
    assert done.value is None
    assert sorted(path.name for path in (done.directory / "checkpoints").iterdir()) == ["last.ckpt", "last.ckpt.sha256"]


def test_a_monitor_that_nobody_reports_is_named_with_what_is_near(run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match=r"no metric is named 'val/exact_mach'. Did you mean 'val/exact_match'"):
        run("monitor=val/exact_mach")


def test_the_learning_curve_is_drawn_for_any_metrics(tmp_path: Path) -> None:
    from seqlab.learning_curve import draw_learning_curve

    for name, validation in {"none": {}, "loss": {"val/loss": [(1, 1.0)]}, "three": {f"val/{m}": [(1, 0.0), (2, 1.0)] for m in ("loss", "a", "b")}}.items():
        draw_learning_curve(tmp_path / f"{name}.png", [(1, 1.0), (2, 0.5)], validation, best_step=2)
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_the_summary_names_the_executor_that_ran(run: Callable[..., Run]) -> None:
    """3 steps are run otherwise than the long sequences for which one would choose without looking."""
    ran = run("executor=auto").summary["executors"]["encoder.parts.0"]
    assert ran["executor"] == "loop"
    assert "so few steps do not pay for compiling" in ran["reason"]


def test_a_line_after_a_refused_run_has_no_file_to_go_to(tmp_path: Path) -> None:
    made = tmp_path / "run"
    made.mkdir()
    handler = logging.FileHandler(made / "train.log", delay=True)  # as Hydra sets it up
    logging.getLogger().addHandler(handler)
    try:
        run_directory.remove_empty(made)
        assert handler not in logging.getLogger().handlers
    finally:
        logging.getLogger().removeHandler(handler)
    assert not made.exists()
