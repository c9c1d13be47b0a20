"""The command as it is typed, stopped by the signals of a machine that takes itself back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.train.conftest import Run
from tests.train.test_command import ENVIRONMENT, command


@pytest.mark.slow
def test_sigterm_exits_with_143_slurm_is_asked_and_the_run_goes_on(tmp_path: Path) -> None:
    """SIGTERM, then `resume=`; then SIGUSR1 in a SLURM job, whose scontrol is a fake, and the same command line again."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n', encoding="utf-8")
    scontrol.chmod(0o755)
    slurm = {**ENVIRONMENT, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    options = ("hydra.run.dir=run", "trainer.max_epochs=120", "encoder.dropout=0.2", "encoder.num_layers=2")
    assert hit(command(*options), signal.SIGTERM, tmp_path, ENVIRONMENT)[0] == 143
    resumed = subprocess.run([sys.executable, "-m", "seqlab.cli", "train", "resume=run"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    again = command("hydra.run.dir=again", *options[1:])
    assert hit(again, signal.SIGUSR1, tmp_path, slurm, "again")[0] == 138
    assert (tmp_path / "asked").read_text() == "requeue 17\n"
    done = subprocess.run(again, cwd=tmp_path, env={**slurm, "SLURM_RESTART_COUNT": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = Run(tmp_path / "run", None), Run(tmp_path / "again", None)
    assert first.rows == second.rows
    assert [int(row["step"]) for row in first.rows] == list(range(1, 721))
    for name, value in first.checkpoint("last")["state_dict"].items():
        assert second.checkpoint("last")["state_dict"][name].equal(value)


def hit(words: list[str], number: signal.Signals, folder: Path, environment: dict[str, str], name: str = "run") -> tuple[int, str]:
    """Start a command, send it a signal once it has saved a checkpoint, and return its exit status and what it said."""
    process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (folder / name / "checkpoints" / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    return process.wait(120), process.stderr.read() if process.stderr else ""
