"""Jobs of two ranks as they are typed: one torchrun each, on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.train.conftest import SMALL, Run

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TWO = ("trainer=ddp", "trainer.devices=2")


def command(*words: str) -> list[str]:
    own = {word.partition("=")[0] for word in words}
    return [sys.executable, "-m", "seqlab.cli", "train", *words, *(word for word in SMALL if word.partition("=")[0] not in own)]


def train(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=280, check=False)


def wait_for(there: Callable[[], object], process: subprocess.Popen[str], seconds: float = 200) -> None:
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
