"""The command as it is typed, in a process of its own: Ctrl-C, and a sweep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from seqlab.sweep.ledger import read_records, sweep_folders
from tests.train.conftest import SMALL, Run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "seqlab.cli", "train", *words, *SMALL]


def test_ctrl_c_saves_what_was_trained_and_exits_with_130(tmp_path: Path) -> None:
    words = command("hydra.run.dir=run", "trainer.max_epochs=100000", "trainer.val_check_interval=5", "data.num_pairs=2000")
    process = subprocess.Popen(words, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted at step" in err
    assert "stopping after this step" in err
    left = Run(tmp_path / "run", None)
    summary = left.summary
    assert summary["status"] == "interrupted"
    assert left.checkpoint("last")["global_step"] == summary["steps"] > 0
    assert int(left.rows[-1]["step"]) == summary["steps"]
    assert (tmp_path / "run" / "learning_curve.png").stat().st_size > 0
    assert not list((tmp_path / "run").rglob(".*"))


def test_a_sweep_trains_each_job_in_a_directory_of_its_own(tmp_path: Path) -> None:
    words = command("-m", "cell=rnn,lstm", "seed=3", "cell.hidden_size=4", "hydra.sweep.dir=sweep")
    done = subprocess.run(words, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    records = read_records(sweep_folders(tmp_path / "sweep")[-1])
    jobs = [Run(tmp_path / "sweep" / record.directory, None) for record in records]
    overrides = [json.dumps((job.directory / "overrides.yaml").read_text()) for job in jobs]
    assert ["cell=lstm" in text for text in overrides] == [False, True]
    assert [job.summary["seed"] for job in jobs] == [3, 3]
    assert all(job.checkpoint("last")["global_step"] == 6 for job in jobs)
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines() if "cell=" in line and "│" in line]
    told = [[str(n), f"cell={cell}", "finished", f"{jobs[n].summary['monitor_value']:.5g}"] for n, cell in enumerate(["rnn", "lstm"])]
    assert rows == [[*row, job.directory.name] for row, job in zip(told, jobs, strict=True)]  # the table at the end
