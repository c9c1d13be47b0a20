"""Jobs of two ranks as they are typed: one torchrun each, on the CPU."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seqlab.evaluate import evaluate
from seqlab.sweep.ledger import read_records, sweep_folders
from tests.train.conftest import SMALL, Run

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TIMEOUT = 500  # seconds: a job takes 15 on two free cores
TWO = ("trainer=ddp", "trainer.devices=2")


def command(*words: str) -> list[str]:
    if words[0].startswith("resume="):
        return [sys.executable, "-m", "seqlab.cli", "train", *words]
    own = {word.partition("=")[0] for word in words}
    return [sys.executable, "-m", "seqlab.cli", "train", *words, *(word for word in SMALL if word.partition("=")[0] not in own)]


def train(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def wait_for(there: Callable[[], object], process: subprocess.Popen[str], seconds: float = TIMEOUT) -> None:
    deadline = time.monotonic() + seconds
    while not there() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert there(), process.communicate()[1] if process.poll() is not None else "too late"


def ranks_of(folder: Path) -> list[int]:
    """The processes that train in a folder: ranks and torchrun, by their command line and working directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, here = (process / "cmdline").read_text(encoding="utf-8"), (process / "cwd").resolve(strict=True)
        except OSError:
            continue
        if "seqlab.ranks." in words and here == folder:
            found.append(int(process.name))
    return found


def rank_of(folder: Path, rank: int) -> int:
    """The process of a rank that trains in a folder."""
    variable = f"RANK={rank}"
    return next(process for process in ranks_of(folder) if variable in Path(f"/proc/{process}/environ").read_text(encoding="utf-8").split("\0"))


def test_two_ranks_train_one_run(tmp_path: Path) -> None:
    done = train(tmp_path, *TWO, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run", None)
    assert run.summary["status"] == "finished"
    assert run.summary["processes"] == 2
    assert run.summary["steps"] == run.checkpoint("last")["global_step"] == 6
    assert len(run.checkpoint("last")["resume"]["ranks"]) == 2
    assert [int(row["step"]) for row in run.rows] == list(range(1, 7))
    assert (run.directory / "learning_curve.png").is_file()
    assert done.stdout.count("run directory: ") == done.stdout.count("metric ") == 1
    assert done.stdout.splitlines()[-1] == f"run directory: {tmp_path / 'run'}"
    assert done.stderr == ""
    assert [file.name for file in tmp_path.iterdir()] == ["run"]
    assert ranks_of(tmp_path) == []


def test_a_rank_that_dies_fails_its_own_job_and_the_sweep_goes_on(tmp_path: Path) -> None:
    words = command("-m", *TWO, "trainer.max_epochs=100000,1", "hydra.sweep.dir=sweep")
    with subprocess.Popen(words, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: list(tmp_path.glob("sweep/*/checkpoints/last.ckpt")), process)
        killed = time.monotonic()
        os.kill(rank_of(tmp_path, 1), signal.SIGKILL)
        first = tmp_path / "sweep" / ".sweeps"
        wait_for(lambda: any("failed" in file.read_text() for file in first.glob("*/0.json")), process, 60)
        assert time.monotonic() - killed < 30
        _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    # the second is said where the ranks took so long to end that torchrun did not come to say how the first ended
    assert re.search(r"rank 1 of 2 (was killed by SIGKILL|ended and said nothing), and the others were stopped\.", said), said
    assert "Traceback" not in said
    records = read_records(sweep_folders(tmp_path / "sweep")[-1])
    assert [record.state for record in records] == ["failed", "finished"]
    assert records[1].metric is not None
    assert ranks_of(tmp_path) == []


def test_stopped_ranks_save_and_go_on_as_if_they_had_not_been_stopped(tmp_path: Path) -> None:
    options = (*TWO, "trainer.max_epochs=30", "encoder.num_layers=2", "encoder.dropout=0.2", "trainer.accumulate_grad_batches=2")
    words = command("hydra.run.dir=run", *options)
    with subprocess.Popen(words, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        wait_for((tmp_path / "run" / "checkpoints" / "last.ckpt").exists, process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143, said
    assert said.count("SIGTERM at step") == said.count("stopping after this step") == 1
    assert ranks_of(tmp_path) == []
    stopped = Run(tmp_path / "run", None).summary
    assert stopped["status"] == "interrupted"
    assert Run(tmp_path / "run", None).checkpoint("last")["global_step"] == stopped["steps"] < 90
    resumed = train(tmp_path, "resume=run")
    assert resumed.returncode == 0, resumed.stderr
    whole = train(tmp_path, "hydra.run.dir=whole", *options)
    assert whole.returncode == 0, whole.stderr
    one, other = Run(tmp_path / "run", None), Run(tmp_path / "whole", None)
    assert one.summary["resumed_at_step"] == stopped["steps"]
    assert one.rows == other.rows
    for name, value in other.checkpoint("last")["state_dict"].items():
        assert one.checkpoint("last")["state_dict"][name].equal(value)
    alone = train(tmp_path, "resume=run", "trainer.max_epochs=31", "trainer.devices=1")
    assert alone.returncode == 1
    assert "trainer.devices=1 would make the run" in alone.stderr


def test_no_rank_outlives_a_job_that_is_killed(tmp_path: Path) -> None:
    words = command(*TWO, "hydra.run.dir=run", "trainer.max_epochs=100000", "data.num_workers=1")
    process = subprocess.Popen(words, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for((tmp_path / "run" / "checkpoints" / "last.ckpt").exists, process)
    assert len(ranks_of(tmp_path)) >= 3
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20  # the workers that read data look for their parent every 5 s
    while ranks_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ranks_of(tmp_path) == []


def test_weights_divided_among_ranks_are_whole_in_checkpoints(tmp_path: Path) -> None:
    options = ("optimizer.momentum=0.9", "trainer.gradient_clip_val=1", "task.l2=0.001")
    done = train(tmp_path, "hydra.run.dir=run", "trainer=fsdp2", *options, "trainer.max_epochs=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    run = Run(tmp_path / "run", None)
    for name in ("last", "best"):
        assert all(type(value).__name__ == "Tensor" for value in run.checkpoint(name)["state_dict"].values())
    for name, value in evaluate(run.directory).items():  # the ranks' sums are added in another order
        assert value == pytest.approx(run.summary["metrics"][name], rel=1e-5)
    resumed = train(tmp_path, "resume=run", "trainer.max_epochs=3")
    assert resumed.returncode == 0, resumed.stderr
    one = train(tmp_path, "hydra.run.dir=one", *options, "trainer.max_epochs=3")
    assert one.returncode == 0, one.stderr
    for name, value in Run(tmp_path / "one", None).checkpoint("last")["state_dict"].items():  # the same model as one process, to rounding in float32
        torch.testing.assert_close(run.checkpoint("last")["state_dict"][name], value, rtol=1e-4, atol=1e-5)


def test_a_search_whose_trials_run_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed")
    search = ("hparams_search=optuna", "hydra.sweeper.num_trials=2", "hydra.sweeper.max_batch_size=2", "optimizer.lr=interval(0.01,0.1)")
    done = train(tmp_path, "-m", *TWO, *search, f"hydra.sweep.dir={tmp_path / 'sweep'}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert done.returncode == 0, done.stderr
    records = read_records(sweep_folders(tmp_path / "sweep")[-1])
    assert [record.state for record in records] == ["finished"] * 2
    for record in records:
        run = Run(tmp_path / "sweep" / record.directory, None)
        assert run.summary["processes"] == 2
        assert run.summary["monitor_value"] == record.metric
        (rate,) = (word.partition("=")[2] for word in record.overrides if word.startswith("optimizer.lr="))
        assert run.checkpoint("last")["seqlab"]["config"]["optimizer"]["lr"] == float(rate)
    assert ranks_of(tmp_path) == []


def torchrun(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`seqlab train` in two processes that the user's own torchrun starts; $RANK in a word is the rank."""
    line = " ".join([shlex.quote(sys.executable), "-m", "seqlab.cli", "train", *words, *SMALL])
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python", "sh", "-c", line]
    return subprocess.run(start, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def test_inside_torchrun_the_ranks_are_those_that_are_there(tmp_path: Path) -> None:
    done = torchrun(tmp_path, *TWO, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run", None)
    assert (run.summary["status"], run.summary["processes"], run.summary["steps"]) == ("finished", 2, 6)
    assert done.stdout.count("run directory: ") == 1
    unlike = torchrun(tmp_path, *TWO, "hydra.run.dir=unlike", "seed=$RANK")
    assert unlike.returncode != 0
    assert "the ranks do not have the same config: seed differs (rank 0: 0; rank 1: 1)" in unlike.stderr
    assert not (tmp_path / "unlike").exists()
