"""A run that was killed goes on as the run that was never stopped: the same weights, metrics and order of samples, bit for bit."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig, OmegaConf

from seqlab import fingerprint as fingerprints
from seqlab import stopping
from seqlab import train as training
from seqlab.callbacks import checkpoints
from seqlab.callbacks.interrupt import Interrupted
from seqlab.checkpoint import copy_checkpoint
from seqlab.config import config_folder
from seqlab.metrics_file import MetricsFile
from seqlab.resume import resumed_config, sole_user
from seqlab.tasks.bits import BitLabelling
from tests.train.conftest import Run, small_config

# two epochs of six batches; a checkpoint after every third step, the row of metrics after every fourth batch
TWO_EPOCHS = ("trainer.max_epochs=2", "callbacks.checkpoints.every_steps=3", "callbacks.record.every=4", "optimizer=adam")
DROPOUT = ("encoder.dropout=0.3", "encoder.num_layers=2")


class Killed(BaseException):
    """Ends a run at once, as SIGKILL would: nothing of it is handled."""


class Seen(Callback):
    """Notes which samples each step has seen, with its number, and ends the run after `kill_at` batches."""

    def __init__(self, kill_at: int | None = None, hook: str = "on_before_zero_grad", stop: signal.Signals | None = None) -> None:
        self.batches: dict[int, str] = {}
        self.kill_at, self.stop = kill_at, stop

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        number = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        self.batches[number] = hashlib.sha256(batch.inputs.numpy().tobytes() + batch.targets.numpy().tobytes()).hexdigest()
        if self.kill_at == number:
            if self.stop is None:
                raise Killed
            os.kill(os.getpid(), self.stop)


class Trial:
    """Runs of one config: the one that is never stopped, and others that are."""

    def __init__(self, folder: Path, config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.config, self.monkeypatch = folder, config, monkeypatch
        self.make = training.build_trainer
        self.whole = self.train("whole", Seen())

    def train(self, name: str, seen: Seen, *changes: str) -> dict[int, str]:
        """A run in its directory, gone on with when there is one. Returns what each batch was."""
        directory = self.folder / name
        resuming = (directory / "config.yaml").exists()

        def build(*arguments: Any) -> Any:
            trainer: Any = self.make(*arguments)
            trainer.callbacks[:0] = [seen]
            return trainer

        self.monkeypatch.setattr(training, "build_trainer", build)
        random.seed(int.from_bytes(os.urandom(4)))  # what the process has drawn before must not matter
        np.random.seed(int.from_bytes(os.urandom(4)))
        config = resumed_config(directory, small_config(*changes), changes) if resuming else self.config
        training.train(config, directory, [*changes], resuming)
        return seen.batches

    def killed_at(self, *steps: int, stop: signal.Signals | None = None) -> None:
        """Kill a run before the end of these batches, one after the other, go on each time, and compare with the whole run."""
        name = f"killed{'-'.join(map(str, steps))}{stop or ''}"
        batches: dict[int, str] = {}
        for step in steps:
            seen = Seen(step, stop=stop)
            with self.monkeypatch.context() as patch:
                if stop is None:  # a killed process writes no records
                    patch.setattr(training, "write_records", lambda *arguments: {})
                with pytest.raises((Killed, SystemExit)):
                    self.train(name, seen)
            batches |= seen.batches
        batches |= self.train(name, Seen())
        self.compare(name, batches)

    def compare(self, name: str, batches: dict[int, str]) -> None:
        """Assert that a run is the whole run."""
        assert batches == self.whole
        run, whole = Run(self.folder / name, None), Run(self.folder / "whole", None)
        for kept in ("last", "best"):
            assert digest(run.checkpoint(kept)) == digest(whole.checkpoint(kept)), f"{kept}.ckpt of {name}"
        assert (run.directory / "metrics.csv").read_text() == (whole.directory / "metrics.csv").read_text()
        assert run.summary["metrics"] == whole.summary["metrics"]
        assert {key: run.summary[key] for key in ("steps", "epochs", "best_step")} == {key: whole.summary[key] for key in ("steps", "epochs", "best_step")}


def digest(checkpoint: dict[str, Any]) -> str:
    """Of everything in a checkpoint that a training goes on from: weights, optimizer, schedule, averages, random numbers."""
    held = {key: checkpoint[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "resume", "loops")}
    held |= {key: checkpoint[key] for key in ("current_model_state", "averaging_state") if key in checkpoint}
    for part in ("fit_loop",):
        held["loops"] = {key: value for key, value in checkpoint["loops"][part].items() if "batch_progress" in key or "epoch_progress" in key}
    return repr(plain(held))


def plain(thing: Any) -> Any:
    if isinstance(thing, torch.Tensor):
        return str(thing.dtype), tuple(thing.shape), hashlib.sha256(thing.contiguous().numpy().tobytes()).hexdigest()
    if isinstance(thing, dict):
        return {key: plain(value) for key, value in thing.items()}
    return [plain(value) for value in thing] if isinstance(thing, list | tuple) else thing


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trial]:
    training.quiet_libraries()
    return lambda *options: Trial(tmp_path, small_config(*TWO_EPOCHS, *options), monkeypatch)


ALL_AT_ONCE = (
    *("trainer.accumulate_grad_batches=2", "callbacks=[default,ema]", "callbacks.ema.decay=0.5", "callbacks.checkpoints.every_steps=1"),
    *("schedule=plateau", "schedule.patience=0", "schedule.threshold=0.9", "trainer.val_check_interval=4"),
)


@pytest.mark.parametrize(
    "options",
    [
        ALL_AT_ONCE,
        pytest.param((), marks=pytest.mark.slow),
        pytest.param(("trainer.accumulate_grad_batches=4", "callbacks.checkpoints.every_steps=1"), marks=pytest.mark.slow),
        pytest.param(("callbacks=[default,ema]", "callbacks.ema.decay=0.5"), marks=pytest.mark.slow),
        pytest.param(("schedule=plateau", "schedule.patience=0", "schedule.threshold=0.9", "trainer.val_check_interval=2"), marks=pytest.mark.slow),
        pytest.param(("trainer.max_epochs=-1", "trainer.max_steps=10", "schedule=cosine"), marks=pytest.mark.slow),
        pytest.param(("trainer.check_val_every_n_epoch=2",), marks=pytest.mark.slow),
        pytest.param(("callbacks=[default,early_stopping]", "callbacks.early_stopping.patience=1", "optimizer.lr=1"), marks=pytest.mark.slow),
        pytest.param(("overfit=3", "trainer.max_epochs=4"), marks=pytest.mark.slow),
        pytest.param(("data.num_workers=2",), marks=pytest.mark.slow),
    ],
    ids=["all", "plain", "accumulation", "ema", "plateau", "steps", "rare validation", "early stopping", "overfit", "workers"],
)
def test_killed_and_killed_again_it_is_the_same_run(options: tuple[str, ...], trial: Callable[..., Trial]) -> None:
    """In the middle of an epoch, and at the start of the next; with dropout and shuffling."""
    trial(*DROPOUT, *options).killed_at(5, 7)


@pytest.mark.slow
def test_killed_at_every_batch(trial: Callable[..., Trial]) -> None:
    made = trial(*DROPOUT)
    for step in range(1, 13):
        made.killed_at(step)


def test_sigterm_saves_the_step_under_way(trial: Callable[..., Trial]) -> None:
    """Where a validation is due in the middle of accumulation, after the best one without a step since, and in the next epoch."""
    made = trial(*DROPOUT, "trainer.accumulate_grad_batches=4", "trainer.val_check_interval=2", "callbacks.checkpoints.every_steps=100", "mode=max")
    for step in (2, 3, 7):
        made.killed_at(step, stop=signal.SIGTERM)


def test_killed_between_the_last_and_the_best_checkpoint(trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch) -> None:
    made = trial()
    best = Run(made.folder / "whole", None).summary["best_step"]

    def kill(source: Path, path: Path) -> None:
        if source.name == "last.ckpt" and Run(made.folder / "killed", None).checkpoint("last")["global_step"] == best:
            raise Killed
        copy_checkpoint(source, path)

    seen = Seen()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "copy_checkpoint", kill)
        with pytest.raises(Killed):
            made.train("killed", seen)
    made.compare("killed", seen.batches | made.train("killed", Seen()))


def test_streams_go_on_with_the_state_they_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training.quiet_libraries()
    text = tmp_path / "text.txt"
    text.write_text("".join(random.Random(0).choices("abcd ", k=600)), encoding="utf-8")
    options = ("experiment=char_lm", f"data.path={text}", "data.batch_size=4", "data.chunk_length=8", "encoder.num_layers=1", "cell.hidden_size=4")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose(
            "train", [*options, *TWO_EPOCHS, "encoder.dropout=0.2", "executor=loop", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"]
        )
    Trial(tmp_path, config, monkeypatch).killed_at(5, 19)


def test_the_same_seed_twice_is_the_same_run(trial: Callable[..., Trial]) -> None:
    made = trial(*DROPOUT, "data.num_workers=0")
    made.compare("again", made.train("again", Seen()))


def finished(run: Callable[..., Run], *options: str) -> Run:
    return run("trainer.max_epochs=1", "callbacks.checkpoints.every_steps=2", *options)


def resume(done: Run, *changes: str) -> float | None:
    return training.train(resumed_config(done.directory, small_config(*changes), changes), done.directory, [*changes], resuming=True)


def test_a_finished_run_may_be_made_longer_and_keeps_its_first_config(run: Callable[..., Run], tmp_path: Path) -> None:
    whole = run("trainer.max_epochs=3")
    short = run("trainer.max_epochs=1", "data.seed=${seed}")
    assert resume(short) == short.value  # nothing to do but the test
    assert not (short.directory / "config.first.yaml").exists()
    resume(short, "trainer.max_epochs=3")
    assert digest(short.checkpoint("last")) == digest(whole.checkpoint("last"))
    assert short.rows == whole.rows
    assert "max_epochs: 1" in (short.directory / "config.first.yaml").read_text()
    assert "max_epochs: 3" in (short.directory / "config.yaml").read_text()
    assert (short.directory / "overrides.yaml").read_text() == "- trainer.max_epochs=1\n- data.seed=${seed}\n- trainer.max_epochs=3\n"


class Late(Callback):
    """As if the second step had taken hours."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 1:
            next(callback for callback in trainer.callbacks if isinstance(callback, Timer))._offset = 1e6


def test_a_run_that_was_out_of_time_goes_on_with_more_of_it(run: Callable[..., Run]) -> None:
    short = run("trainer.max_epochs=1", "trainer.max_time=00:00:10:00", watch=Late())
    assert short.summary["steps"] == 2
    resume(short)
    assert short.summary["steps"] == 2
    resume(short, "trainer.max_time=null")
    assert short.summary["steps"] == 6


def test_what_early_stopping_said_holds_for_its_own_run(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    short = run("trainer.max_epochs=3", "callbacks=[default,early_stopping]", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-12")
    assert short.summary["steps"] == 12
    resume(Run(short.directory / ".." / short.directory.name, None), "trainer.max_epochs=4")  # by a name that Lightning writes otherwise
    assert short.summary["steps"] == 12
    assert "early stopping" in caplog.text
    assert run("trainer.max_epochs=3", f"ckpt_path={short.directory}/checkpoints/last.ckpt").summary["steps"] == 18


def test_pictures_go_where_the_run_lies_now(run: Callable[..., Run], tmp_path: Path) -> None:
    done = finished(run)
    config = OmegaConf.load(done.directory / "config.yaml")
    OmegaConf.update(
        config, "callbacks.gradient", {"_target_": "seqlab.callbacks.gradient.GradientRecord", "directory": str(tmp_path / "elsewhere")}, force_add=True
    )
    OmegaConf.save(config, done.directory / "config.yaml")
    assert resumed_config(done.directory, small_config(), []).callbacks.gradient.directory == str(done.directory)


def test_a_link_in_the_directory_or_a_broken_summary_is_refused(run: Callable[..., Run], tmp_path: Path) -> None:
    done = finished(run)
    (done.directory / "summary.json").write_text("{")
    with pytest.raises(ValueError, match=r"summary\.json is no JSON"):
        resume(done)
    (done.directory / "summary.json").unlink()
    (done.directory / "train.log").unlink(missing_ok=True)
    (done.directory / "train.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"has links in it: train\.log"):
        resume(done)


def test_rows_beyond_the_checkpoint_are_taken_out(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.csv")
    file.log_metrics({"epoch": 0, "a": 1.0}, step=1)
    file.log_metrics({"a": 2.0}, step=2)
    mark = file.mark()
    whole = (tmp_path / "metrics.csv").read_text()
    file.log_metrics({"b": 3.0}, step=2)
    file.log_metrics({"c": 4.0}, step=3)
    file.finalize("killed")
    again = MetricsFile(tmp_path / "metrics.csv")
    again.rewind(mark)
    assert (tmp_path / "metrics.csv").read_text() == whole
    again.log_metrics({"b": 3.0}, step=2)
    again.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "epoch,step,a,b\n0,1,1.0,\n,2,2.0,3.0\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimizer.lr=0.5", r"optimizer\.lr=0\.5 would make the run in .* another run; expected a change of trainer\.max_epochs"),
        ("cell=gru", r"cell=gru would make the run in .* another run"),
    ],
)
def test_another_config_is_refused(change: str, message: str, run: Callable[..., Run]) -> None:
    done = finished(run)
    with pytest.raises(ValueError, match=message):
        resume(done, change)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("  lr: 0.01\n", r"optimizer\.lr is 0\.25 in the config of the run in .*, but its newest checkpoint was made with 0\.01;"),
        ("  gradient_clip_algorithm: norm\n", r"trainer\.gradient_clip_algorithm is None in the config of the run in .* made with 'norm';"),
    ],
)
def test_an_edited_config_is_refused(line: str, message: str, run: Callable[..., Run]) -> None:
    done = finished(run, "optimizer.lr=0.01", "callbacks=[default]")
    text = (done.directory / "config.yaml").read_text()
    assert text.count(line) == 1
    (done.directory / "config.yaml").write_text(text.replace(line, "  lr: 0.25\n" if "lr" in line else ""))
    with pytest.raises(ValueError, match=message):
        resume(done)


def test_a_changed_cell_or_data_set_is_refused_by_name(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    done = finished(run)
    honest = fingerprints.source_digests
    with monkeypatch.context() as patch:
        patch.setattr(fingerprints, "source_digests", lambda *arguments: {name: f"{digest}." for name, digest in honest(*arguments).items()})
        with pytest.raises(ValueError, match="the source of cell rnn is another than when the run in"):
            resume(done)
    draw = training.build_data

    def changed(config: DictConfig) -> Any:
        data = draw(config)
        data.splits["train"].inputs[3, 0, 0] += 1
        return data

    monkeypatch.setattr(training, "build_data", changed)
    with pytest.raises(ValueError, match="the train split of data set BinaryAddition is another than when the run in"):
        resume(done)


def test_a_directory_that_is_in_use_is_refused(run: Callable[..., Run]) -> None:
    done = finished(run)
    with sole_user(done.directory), pytest.raises(ValueError, match="is being trained in by another process"):
        resume(done)
    with pytest.raises(BlockingIOError), sole_user(done.directory):  # of the training itself, such as of a terminal
        raise BlockingIOError


def test_a_worker_that_outlives_its_process_holds_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    owner = os.fork()
    if owner == 0:  # trains, with a worker, and is killed
        with sole_user(tmp_path):
            if os.fork() == 0:
                os.read(reading, 1)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(owner, 0)
    with sole_user(tmp_path):
        os.write(writing, b".")


def test_a_full_disk_keeps_the_checkpoint_and_says_what_to_do(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    honest = torch.save

    def full(content: Any, file: Any) -> None:
        if content["global_step"] > 2:
            raise OSError(28, "No space left on device")
        honest(content, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match=r"No space left on device; .* Free some space or allow writing, then go on with `seqlab train resume="):
            run("trainer.max_epochs=1", "callbacks.checkpoints.every_steps=2", directory=tmp_path / "run")
    stopped = Run(tmp_path / "run", None)
    assert stopped.checkpoint("last")["global_step"] == 2
    resume(stopped)
    assert stopped.checkpoint("last")["global_step"] == 6


def test_slurm_puts_the_job_into_the_queue_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n', encoding="utf-8")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert not stopping.requeued()
    assert stopping.stopped(Interrupted(signal.SIGTERM), 5, tmp_path).code == 143  # pyright: ignore[reportAttributeAccessIssue]
    assert not (tmp_path / "asked").exists()
    assert stopping.stopped(Interrupted(signal.SIGUSR1), 5, tmp_path).code == 138  # pyright: ignore[reportAttributeAccessIssue]
    assert (tmp_path / "asked").read_text() == "requeue 17\n"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert stopping.requeued()
    scontrol.write_text("#!/bin/sh\necho 'Invalid job id' >&2; exit 1\n", encoding="utf-8")
    stopping.requeue("17")
    assert "was not put into the queue again: scontrol says Invalid job id" in caplog.text


def test_an_operation_that_is_not_deterministic_is_refused_by_name(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = BitLabelling.outcome

    def outcome(self: Any, batch: Any) -> Any:
        torch.zeros(3).put_(torch.tensor([0]), torch.tensor([1.0]))
        return honest(self, batch)

    monkeypatch.setattr(BitLabelling, "outcome", outcome)
    try:
        with pytest.raises(ValueError, match=r"the operation put_ has no deterministic implementation on this device"):
            run("trainer=deterministic", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false")
    finally:
        torch.use_deterministic_algorithms(False)
